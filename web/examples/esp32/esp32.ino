// An ESP32 that reports a temperature and obeys a switch. By MQTT, or, with REPORT_BY_HTTP, with one HTTP request for each report.
// Libraries: PubSubClient (by MQTT); WiFi and HTTPClient come with the board.
#include <HTTPClient.h>
#include <PubSubClient.h>
#include <WiFi.h>

const char WIFI_NAME[] = "your network";
const char WIFI_PASSWORD[] = "its password";
const char GATEWAY[] = "192.168.1.10"; // a listener on this address has to be in the gateway's configuration
const uint16_t MQTT_PORT = 1883;
const uint16_t HTTP_PORT = 8080;
const char REPORTS[] = "home/kitchen/temperature";
const char COMMANDS[] = "home/kitchen/light/set";
const int LIGHT_PIN = 2;
const unsigned long REPORT_MS = 10000;
const bool REPORT_BY_HTTP = false;

WiFiClient network;
PubSubClient mqtt(network);
unsigned long reported_ms;

void onMessage(char *topic, byte *payload, unsigned int length)
{
    (void)topic; // there is only one subscription
    digitalWrite(LIGHT_PIN, length == 2 && memcmp(payload, "on", 2) == 0 ? HIGH : LOW);
}

void connectWifi()
{
    WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
    while (WiFi.status() != WL_CONNECTED) {
        delay(200);
    }
}

void connectMqtt()
{
    // With this will the gateway tells everybody when we are gone.
    String id = "esp32-" + WiFi.macAddress();
    while (!mqtt.connect(id.c_str(), nullptr, nullptr, "home/kitchen/status", 1, true, "offline")) {
        delay(1000);
    }
    mqtt.publish("home/kitchen/status", "online", true);
    mqtt.subscribe(COMMANDS, 1);
}

void reportByHttp(const String &value)
{
    HTTPClient http;
    http.begin(String("http://") + GATEWAY + ":" + HTTP_PORT + "/topics/" + REPORTS + "?retain=true");
    int status = http.POST(value);
    if (status != 200) {
        Serial.printf("not published: %d\n", status);
    }
    http.end();
}

void setup()
{
    Serial.begin(115200);
    pinMode(LIGHT_PIN, OUTPUT);
    connectWifi();
    mqtt.setServer(GATEWAY, MQTT_PORT);
    mqtt.setCallback(onMessage);
}

void loop()
{
    if (WiFi.status() != WL_CONNECTED) {
        connectWifi();
    }
    if (!mqtt.connected()) {
        connectMqtt();
    }
    mqtt.loop();
    if (millis() - reported_ms >= REPORT_MS) {
        reported_ms = millis();
        String value(temperatureRead(), 1); // the chip's own
        if (REPORT_BY_HTTP) {
            reportByHttp(value);
        } else {
            mqtt.publish(REPORTS, value.c_str(), true);
        }
    }
}
