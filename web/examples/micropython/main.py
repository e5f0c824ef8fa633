# A board with MicroPython that reports a number and obeys a switch, by MQTT; or that reports by HTTP, which needs no library.
# Once, at its prompt:  import mip; mip.install("umqtt.simple")
import socket
import time

GATEWAY = "192.168.1.10"  # a listener on this address has to be in the gateway's configuration
MQTT_PORT = 1883
HTTP_PORT = 8080
CLIENT_ID = "board-1"
REPORTS = "home/kitchen/temperature"
COMMANDS = "home/kitchen/light/set"
STATUS = "home/kitchen/status"
REPORT_S = 10


def measure():
    """What is reported: replace it with your sensor."""
    return 21.5


def switch(is_on):
    """What is obeyed: replace it with your pin."""
    print("light", "on" if is_on else "off")


def connect_wifi(name, password):
    import network

    wifi = network.WLAN(network.STA_IF)
    wifi.active(True)
    wifi.connect(name, password)
    while not wifi.isconnected():
        time.sleep(0.2)


def report_by_http(topic, value):
    """One POST: the body is the payload. Returns the status, 200 if somebody listens or the value is kept."""
    body = str(value).encode()
    head = "POST /topics/%s?retain=true HTTP/1.0\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (topic, GATEWAY, len(body))
    peer = socket.socket()
    try:
        peer.connect(socket.getaddrinfo(GATEWAY, HTTP_PORT)[0][-1])
        peer.send(head.encode() + body)
        return int(peer.recv(12)[9:12])
    finally:
        peer.close()


def run_by_mqtt(turns=None):
    """Report and obey for ever, or for that many reports."""
    from umqtt.simple import MQTTClient

    client = MQTTClient(CLIENT_ID, GATEWAY, port=MQTT_PORT, keepalive=4 * REPORT_S)
    client.set_callback(lambda _topic, payload: switch(payload == b"on"))
    client.set_last_will(STATUS, "offline", retain=True, qos=1)  # the gateway says so when we are gone
    client.connect()
    client.publish(STATUS, "online", retain=True, qos=1)
    client.subscribe(COMMANDS, qos=1)
    while turns is None or turns > 0:
        client.publish(REPORTS, str(measure()), retain=True)
        client.check_msg()
        time.sleep(REPORT_S)
        turns = None if turns is None else turns - 1


if __name__ == "__main__":
    connect_wifi("your network", "its password")
    run_by_mqtt()
