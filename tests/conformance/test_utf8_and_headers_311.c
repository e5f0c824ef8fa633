/* MQTT 3.1.1, 1.5.3 and 2: strings, fixed headers, packet identifiers. */
#include "tests/conformance/v311.h"

/* --- UTF-8 -------------------------------------------------------------------------------------------------------- */

/* Send a packet that has the string TEXT between BEFORE and BEHIND on a connection of its own, which must end of it. */
static void expect_closed_by(struct harness *h, const char *before, const char *text, const char *behind)
{
    struct tc *c = v311_connect(h, "");
    tc_send_spec(c, "%s %s %s c000", before, text, behind);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt311_1_5_3_1_ill_formed_utf8_closes_the_connection)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "#", 2);
    V311_FOR_ILL_FORMED(text)
    {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 02 0000 %s}", text);
        tc_expect_closed(c);
        expect_closed_by(h, "30{", text, "'x'}");
        expect_closed_by(h, "32{", text, "0001 'x'}");
        expect_closed_by(h, "82{0001", text, "00}");
        expect_closed_by(h, "82{0001 <a> 00", text, "00}");
        expect_closed_by(h, "a2{0001", text, "}");
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_1_5_3_1_every_length_of_utf8_is_taken)
{
    struct tc *c = v311_connect(
        h, "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbd");
    const char *topic = "$\u00a2/\u20ac/\U00010348";
    tc_subscribe(c, topic, 0);
    tc_publish(c, topic, "x", 0);
    tc_receive(c, topic, "x", 0);
}

CONFORMANCE_TEST(mqtt311_1_5_3_2_null_character_in_a_string_closes_the_connection)
{
    static const char *const texts[] = {"['a'00'b']", "[00]", "['a'00]", "[00'a']"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 02 0000 %s}", texts[i]);
        tc_expect_closed(c);
        c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 06 0000 <c> %s <m>}", texts[i]);
        tc_expect_closed(c);
        c = v311_open(h);
        tc_send_spec(c, "10{<MQTT> 04 82 0000 <c> %s}", texts[i]);
        tc_expect_closed(c);
        expect_closed_by(h, "30{", texts[i], "'x'}");
        expect_closed_by(h, "82{0001", texts[i], "00}");
        expect_closed_by(h, "a2{0001", texts[i], "}");
    }
}

CONFORMANCE_TEST(mqtt311_1_5_3_3_byte_order_mark_is_kept)
{
    static const char with_mark[] = "\xef\xbb\xbf/a";
    struct tc *c = v311_connect(h, "/a");
    struct tc *marked = v311_connect(h, with_mark);
    tc_expect_alive(c); /* another client id */
    tc_subscribe(c, "/a", 0);
    tc_subscribe(marked, with_mark, 0);
    tc_publish(marked, with_mark, "x", 0);
    tc_receive(marked, with_mark, "x", 0);
    tc_publish(marked, "/a", "y", 0);
    tc_receive(c, "/a", "y", 0);
    tc_expect_nothing(marked);
    tc_expect_nothing(c);
}

/* --- fixed headers ------------------------------------------------------------------------------------------------ */

/* The next packet for C begins with EXPECTED. Call next_packet() before what provokes it. */
static void next_packet(struct tc *c)
{
    tc_set_room(c, 1);
}

static void expect_first_byte(struct tc *c, uint8_t expected)
{
    ck_assert_uint_eq(c->partial_len, 1);
    ck_assert_uint_eq(c->partial[0], expected);
    tc_set_room(c, SIZE_MAX);
}

CONFORMANCE_TEST(mqtt311_2_2_2_1_mqtt311_3_3_1_2_every_packet_of_the_server_has_the_flags_of_table_2_2)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_open(h);
    next_packet(c);
    tc_send_spec(c, "10{<MQTT> 04 02 0000 <c>}");
    expect_first_byte(c, 0x20);
    tc_expect_connack(c, false, 0);
    next_packet(c);
    tc_send_spec(c, "82{0001 <a> 02}");
    expect_first_byte(c, 0x90);
    tc_expect_suback(c, 1, "02");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        next_packet(c);
        tc_publish(p, "a", "x", qos);
        expect_first_byte(c, (uint8_t)(0x30 | qos << 1));
        tc_receive(c, "a", "x", qos);
    }
    next_packet(c);
    tc_send_spec(c, "32{<b> 0002}");
    expect_first_byte(c, 0x40);
    tc_expect_puback(c, 2);
    next_packet(c);
    tc_send_spec(c, "34{<b> 0003}");
    expect_first_byte(c, 0x50);
    tc_expect_pubrec(c, 3);
    next_packet(c);
    tc_send_spec(c, "62{0003}");
    expect_first_byte(c, 0x70);
    tc_expect_pubcomp(c, 3);
    tc_publish(p, "a", "x", 2);
    uint16_t id = tc_expect_publish(c, "a", "x", 2)->packet_id;
    next_packet(c);
    tc_pubrec(c, id);
    expect_first_byte(c, 0x62);
    tc_expect_pubrel(c, id);
    next_packet(c);
    tc_send_spec(c, "a2{0004 <a>}");
    expect_first_byte(c, 0xb0);
    tc_expect_unsuback(c, 4, "");
    next_packet(c);
    tc_send_spec(c, "c000");
    expect_first_byte(c, 0xd0);
    tc_expect_pingresp(c);
}

CONFORMANCE_TEST(mqtt311_2_2_2_2_invalid_flags_close_the_connection)
{
    static const struct {
        uint8_t first; /* as it should be */
        const char *rest;
    } packets[] = {
        {0x40, "{0001}"},        {0x50, "{0001}"},     {0x62, "{0001}"}, {0x70, "{0001}"},
        {0x82, "{0001 <a> 00}"}, {0xa2, "{0001 <a>}"}, {0xc0, "00"},     {0xe0, "00"},
    };
    struct tc *w = v311_connect(h, "w");
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        for (uint8_t flags = 0; flags < 16; flags++) {
            uint8_t first = (uint8_t)((packets[i].first & 0xf0) | flags);
            if (first == packets[i].first) {
                continue;
            }
            struct tc *c = v311_connect(h, "c");
            tc_send_spec(c, "%02x %s", first, packets[i].rest);
            tc_expect_closed(c);
        }
    }
    for (uint8_t flags = 1; flags < 16; flags++) {
        struct tc *c = v311_open(h);
        tc_send_spec(c, "%02x{<MQTT> 04 02 0000 <c>}", 0x10 | flags);
        tc_expect_closed(c);
    }
    tc_expect_alive(w);
}

CONFORMANCE_TEST(mqtt311_4_8_0_1_reserved_packet_types_close_the_connection)
{
    for (unsigned flags = 0; flags < 16; flags++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%02x00", flags);
        tc_expect_closed(c);
        c = v311_connect(h, "c");
        tc_send_spec(c, "%02x00", 0xf0 | flags);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt311_4_8_0_1_remaining_length_that_cannot_be_closes_the_connection)
{
    static const char *const packets[] = {
        "c0ffffffff01", "c0{00}", "40{00}",      "40{0001 00}",  "50{00}",      "50{0001 00}",  "62{00}",
        "62{0001 00}",  "70{00}", "70{0001 00}", "e0{00}",       "30{00}",      "30{0002 'a'}", "32{<a>}",
        "32{<a> 00}",   "82{00}", "82{0001 00}", "82{0001 <a>}", "a2{0001 00}", "a2{00}",       "40{}",
    };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
}

/* --- packet identifiers ------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_2_3_1_1_packet_identifier_0_closes_the_connection)
{
    static const char *const packets[] = {
        "32{<a> 0000 'x'}", "34{<a> 0000 'x'}", "82{0000 <a> 00}", "a2{0000 <a>}",
        "40{0000}",         "50{0000}",         "62{0000}",        "70{0000}",
    };
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 2);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c = v311_connect(h, "c");
        tc_send_spec(c, "%s", packets[i]);
        tc_expect_closed(c);
    }
    tc_expect_nothing(w);
}

CONFORMANCE_TEST(mqtt311_2_3_1_1_mqtt311_2_3_1_4_server_gives_ids_that_are_not_0_and_not_in_use)
{
    enum { MESSAGES = 40 };
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 2);
    static bool in_use[UINT16_MAX + 1];
    uint16_t ids[MESSAGES];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MESSAGES; i++) {
            tc_publish(p, "a", "x", (uint8_t)(1 + i % 2));
            ids[i] = tc_expect_publish(c, "a", "x", (uint8_t)(1 + i % 2))->packet_id;
            ck_assert_uint_ne(ids[i], 0);
            ck_assert(!in_use[ids[i]]);
            in_use[ids[i]] = true;
        }
        for (int i = 0; i < MESSAGES; i++) {
            if (i % 2 == 0) {
                tc_puback(c, ids[i]);
            } else {
                tc_pubrec(c, ids[i]);
                tc_expect_pubrel(c, ids[i]);
                tc_pubcomp(c, ids[i]);
            }
            in_use[ids[i]] = false;
        }
    }
}

CONFORMANCE_TEST(mqtt311_2_3_1_4_ids_of_the_two_directions_do_not_disturb_each_other)
{
    struct tc *p = v311_connect(h, "p");
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "to", 2);
    tc_publish(p, "to", "x", 2);
    uint16_t id = tc_expect_publish(c, "to", "x", 2)->packet_id;
    tc_send_publish(c, (struct tc_message){.topic = "from", .payload = "y", .qos = 2, .id = id});
    tc_expect_pubrec(c, id);
    tc_pubrec(c, id);
    tc_expect_pubrel(c, id);
    tc_pubrel(c, id);
    tc_expect_pubcomp(c, id);
    tc_pubcomp(c, id);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt311_2_3_1_5_qos_0_has_no_packet_identifier)
{
    struct tc *c = v311_connect(h, "c");
    tc_subscribe(c, "a", 2);
    tc_send_spec(c, "30{<a> 0001}");
    const struct publish *publish = tc_expect_any_publish(c);
    ck_assert_uint_eq(publish->payload.len, 2); /* what might look like an id is the payload */
    ck_assert_uint_eq(publish->payload.data[1], 1);
    tc_send_spec(c, "30{<a>}");
    ck_assert_uint_eq(tc_expect_any_publish(c)->payload.len, 0);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt311_2_3_1_6_acknowledgements_repeat_the_id_of_their_publish)
{
    static const uint16_t ids[] = {1, 255, 256, 0x1234, 0x7fff, 0x8000, 0xffff};
    struct tc *c = v311_connect(h, "c");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        tc_send_spec(c, "32{<a> %04x 'x'}", ids[i]);
        tc_expect_puback(c, ids[i]);
        tc_send_spec(c, "34{<a> %04x 'x'}", ids[i]);
        tc_expect_pubrec(c, ids[i]);
        tc_send_spec(c, "62{%04x}", ids[i]);
        tc_expect_pubcomp(c, ids[i]);
    }
    struct tc *p = v311_connect(h, "p");
    tc_subscribe(c, "to", 2);
    for (int i = 0; i < 5; i++) {
        tc_publish(p, "to", "x", 2);
        uint16_t id = tc_expect_publish(c, "to", "x", 2)->packet_id;
        tc_pubrec(c, id);
        tc_expect_pubrel(c, id);
        tc_pubcomp(c, id);
    }
}

CONFORMANCE_TEST(mqtt311_2_3_1_7_suback_and_unsuback_repeat_the_id_of_their_request)
{
    static const uint16_t ids[] = {1, 255, 256, 0x1234, 0x7fff, 0x8000, 0xffff};
    struct tc *c = v311_connect(h, "c");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        tc_send_spec(c, "82{%04x <a> 01}", ids[i]);
        tc_expect_suback(c, ids[i], "01");
        tc_send_spec(c, "a2{%04x <a>}", ids[i]);
        tc_expect_unsuback(c, ids[i], "");
    }
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt311_4_8_0_1_packets_that_only_a_server_may_send_close_the_connection)
{
    static const char *const packets[] = {"20{0000}", "90{0001 00}", "b0{0001}", "d000"};
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "will", 0);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct tc *c =
            tc_connect_with(h, .id = "c", .version = MQTT_3_1_1, .will = {.topic = "will", .payload = packets[i]});
        tc_send_spec(c, "%s c000", packets[i]);
        tc_expect_closed(c);
        tc_receive(w, "will", packets[i], 0);
    }
}

CONFORMANCE_TEST(mqtt311_4_8_0_1_violation_of_one_client_does_not_touch_the_others)
{
    struct tc *w = v311_connect(h, "w");
    tc_subscribe(w, "a", 1);
    struct tc *c = v311_connect(h, "c");
    tc_send_spec(c, "32{<a> 0001 'before'} 36{<a> 0002 'bad'} 32{<a> 0003 'behind'}");
    tc_expect_puback(c, 1);
    tc_expect_closed(c);
    tc_receive(w, "a", "before", 1);
    tc_expect_nothing(w);
    tc_expect_alive(w);
}

CONFORMANCE_TEST(mqtt311_4_8_0_2_message_that_cannot_be_taken_now_closes_the_connection)
{
    struct tc *w = v311_resume(h, "w");
    tc_subscribe(w, "a", 2);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct tc *c = v311_connect(h, "c");
        h->store.admission = STORE_FULL;
        tc_send_publish(c, (struct tc_message){.topic = "a", .payload = "x", .qos = qos});
        tc_expect_closed(c); /* not acknowledged: it comes again */
        h->store.admission = STORE_ADMITTED;
        tc_expect_nothing(w);
    }
    struct tc *c = v311_connect(h, "c");
    tc_publish(c, "a", "again", 2);
    tc_receive(w, "a", "again", 2);
}

CONFORMANCE_TEST(mqtt311_7_0_0_2_packets_may_come_cut_anywhere)
{
    static const char stream[] = "\x10\x0d\0\4MQTT\4\2\0\0\0\1c"
                                 "\x82\6\0\1\0\1a\2"
                                 "\x34\6\0\1a\0\5x"
                                 "\x62\2\0\5"
                                 "\xc0";
    struct tc *c = v311_open(h);
    for (size_t i = 0; i < sizeof(stream); i++) { /* its last 0 is PINGREQ's length */
        tc_send(c, stream + i, 1);
    }
    tc_expect_connack(c, false, 0);
    tc_expect_suback(c, 1, "02");
    tc_expect_publish(c, "a", "x", 2);
    tc_expect_pubrec(c, 5);
    tc_expect_pubcomp(c, 5);
    tc_expect_pingresp(c);
}
