/* MQTT 5.0, 3.15 and 4.12: AUTH, enhanced authentication. The harness knows the method "TEST": challenge, response, welcome. */
#include "tests/conformance/conformance.h"

#include <stdio.h>

#define METHOD "auth_method:<TEST>"

/* A client that was challenged. */
static struct tc *challenged(struct harness *h, const char *id, const char *properties)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = id, .properties = properties});
    const struct disconnect *auth = tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    ck_assert(tc_has_properties(&auth->properties, METHOD " auth_data:<challenge>"));
    return c;
}

/* A client that has authenticated itself. */
static struct tc *authenticated(struct harness *h, const char *id)
{
    struct tc *c = challenged(h, id, METHOD);
    tc_send_spec(c, "f0{18 {" METHOD " auth_data:<response>}}");
    tc_expect_connack(c, false, REASON_SUCCESS);
    return c;
}

/* --- AUTH as a packet ------------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_3_15_1_1_auth_with_flags_other_than_0000_is_malformed)
{
    for (unsigned flags = 1; flags <= 0xf; flags++) {
        struct tc *c = challenged(h, "c", METHOD);
        tc_send_spec(c, "f%x{18 {" METHOD " auth_data:<response>}}", flags);
        tc_expect_connack(c, false, REASON_MALFORMED_PACKET);
        tc_expect_closed(c);
        c = authenticated(h, "c");
        tc_send_spec(c, "f%x{19 {" METHOD "}}", flags);
        tc_expect_refused(c, REASON_MALFORMED_PACKET);
    }
}

CONFORMANCE_TEST(mqtt_3_15_2_1_auth_with_an_unlisted_reason_code_is_a_protocol_error)
{
    for (unsigned code = 0; code <= 0xff; code++) {
        if (code == REASON_RE_AUTHENTICATE) {
            continue;
        }
        struct tc *c = authenticated(h, "c"); /* nothing was asked, so 0x18 is one too */
        tc_send_spec(c, "f0{%02x {" METHOD "}}", code);
        tc_expect_refused(c, REASON_PROTOCOL_ERROR);
    }
}

CONFORMANCE_TEST(mqtt_3_15_2_1_short_auth_is_a_protocol_error)
{
    struct tc *c = authenticated(h, "c");
    tc_send_spec(c, "f000"); /* stands for 0x00, which is the server's to say */
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_3_15_2_2_mqtt_3_15_2_3_auth_of_the_server_has_nothing_that_could_be_left_out)
{
    struct tc *c = authenticated(h, "c");
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    const struct disconnect *auth = tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    ck_assert(!HAS(auth, REASON_STRING));
    ck_assert(!HAS(auth, USER_PROPERTY));
    unsigned len = 2u + tc_last_bytes(c)[1];
    char properties[64];
    snprintf(properties, sizeof(properties), METHOD " packet_max:%u", len);
    challenged(h, "exact", properties); /* it fits exactly; the client checks */
}

CONFORMANCE_TEST(mqtt_3_15_2_2_mqtt_3_15_2_3_auth_of_the_client_may_say_more)
{
    struct tc *c = challenged(h, "c", METHOD);
    tc_send_spec(c, "f0{18 {reason_string:<why> user:<k><v> user:<k><v> " METHOD " auth_data:<response>}}");
    tc_expect_connack(c, false, REASON_SUCCESS);
}

/* --- authentication at CONNECT ------------------------------------------------------------------------------------------------ */

CONFORMANCE_TEST(mqtt_4_12_0_1_unsupported_method_is_refused_with_0x8c)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "auth_method:<SCRAM-SHA-1>"});
    tc_expect_connack(c, false, REASON_BAD_AUTHENTICATION_METHOD);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_4_12_0_2_mqtt_4_12_0_5_server_asks_for_more_with_0x18_and_names_the_method)
{
    struct tc *c = challenged(h, "c", METHOD); /* which looks at all of that */
    tc_expect_nothing(c);
    tc_send_spec(c, "f0{18 {" METHOD " auth_data:<response>}}");
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(bytes_equal(connack->properties.authentication_method, bytes_from_string("TEST")));
    ck_assert(bytes_equal(connack->properties.authentication_data, bytes_from_string("welcome")));
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_4_12_0_3_answer_with_another_reason_code_is_a_protocol_error)
{
    static const char *const answers[] = {"19", "00", "87"};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct tc *c = challenged(h, "c", METHOD);
        tc_send_spec(c, "f0{%s {" METHOD " auth_data:<response>}}", answers[i]);
        tc_expect_connack(c, false, REASON_PROTOCOL_ERROR);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_4_12_0_4_server_that_rejects_closes)
{
    struct tc *c = challenged(h, "c", METHOD);
    tc_send_spec(c, "f0{18 {" METHOD " auth_data:<wrong>}}");
    tc_expect_connack(c, false, REASON_NOT_AUTHORIZED);
    tc_expect_closed(c);
    c = tc_connect(h, "d", MQTT_5_0);
    tc_expect_alive(c);
}

CONFORMANCE_TEST(mqtt_4_12_0_5_answer_that_names_another_method_or_none_is_a_protocol_error)
{
    static const char *const answers[] = {"auth_method:<OTHER> auth_data:<response>", "auth_data:<response>",
                                          "auth_method:<TESt>", "auth_method:<TEST2>"};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct tc *c = challenged(h, "c", METHOD);
        tc_send_spec(c, "f0{18 {%s}}", answers[i]);
        tc_expect_connack(c, false, REASON_PROTOCOL_ERROR);
        tc_expect_closed(c);
    }
}

CONFORMANCE_TEST(mqtt_4_12_0_6_no_auth_and_no_method_without_a_method_in_connect)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .user_name = "u", .password = "p"});
    const struct connack *connack = tc_expect_connack(c, false, REASON_SUCCESS);
    ck_assert(!HAS(connack, AUTHENTICATION_METHOD));
    ck_assert(!HAS(connack, AUTHENTICATION_DATA));
    harness_advance(h, 60000);
    tc_expect_nothing(c);
}

CONFORMANCE_TEST(mqtt_4_12_0_6_authentication_data_without_a_method_is_a_protocol_error)
{
    struct tc *c = tc_try_connect(h, (struct tc_options){.id = "c", .properties = "auth_data:<x>"});
    tc_expect_connack(c, false, REASON_PROTOCOL_ERROR);
    tc_expect_closed(c);
}

CONFORMANCE_TEST(mqtt_4_12_0_7_auth_without_a_method_in_connect_is_a_protocol_error)
{
    struct tc *c = tc_connect(h, "c", MQTT_5_0);
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

/* --- re-authentication ---------------------------------------------------------------------------------------------------------- */

CONFORMANCE_TEST(mqtt_4_12_1_1_re_authentication_goes_the_same_way_while_messages_flow)
{
    struct tc *c = authenticated(h, "c");
    tc_subscribe(c, "a", 1);
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    tc_publish(c, "a", "x", 1);
    tc_receive(c, "a", "x", 1);
    tc_send_spec(c, "f0{18 {" METHOD " auth_data:<response>}}");
    const struct disconnect *auth = tc_expect_auth(c, REASON_SUCCESS);
    ck_assert(tc_has_properties(&auth->properties, METHOD " auth_data:<welcome>"));
    tc_expect_alive(c);
    tc_send_spec(c, "f0{19 {" METHOD "}}"); /* and once more */
    tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
}

CONFORMANCE_TEST(mqtt_4_12_1_1_re_authentication_by_another_method_is_a_protocol_error)
{
    struct tc *c = authenticated(h, "c");
    tc_send_spec(c, "f0{19 {auth_method:<OTHER>}}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_4_12_1_1_re_authentication_within_another_is_a_protocol_error)
{
    struct tc *c = authenticated(h, "c");
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    tc_expect_refused(c, REASON_PROTOCOL_ERROR);
}

CONFORMANCE_TEST(mqtt_4_12_1_2_failed_re_authentication_closes_with_disconnect)
{
    struct tc *c = authenticated(h, "c");
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    tc_expect_auth(c, REASON_CONTINUE_AUTHENTICATION);
    tc_send_spec(c, "f0{18 {" METHOD " auth_data:<wrong>}}");
    tc_expect_refused(c, REASON_NOT_AUTHORIZED);
}

CONFORMANCE_TEST(mqtt_4_12_1_2_mqtt_3_14_2_1_reason_that_disconnect_has_no_word_for_is_told_as_one_that_it_has)
{
    /* the codes that an authentication may end with, though two of them are CONNACK's alone */
    static const uint8_t refusals[] = {REASON_BAD_USER_NAME_OR_PASSWORD, REASON_BANNED};
    for (size_t i = 0; i < sizeof(refusals); i++) {
        struct tc *c = authenticated(h, "c");
        h->access.refusal = refusals[i];
        tc_send_spec(c, "f0{19 {" METHOD "}}");
        tc_expect_refused(c, REASON_NOT_AUTHORIZED);
        h->access.refusal = 0;
    }
}

CONFORMANCE_TEST(mqtt_4_12_1_2_connection_may_end_while_a_re_authentication_is_decided)
{
    struct tc *c = authenticated(h, "c");
    h->access.is_held = true;
    tc_send_spec(c, "f0{19 {" METHOD "}}");
    tc_expect_alive(c); /* the provider thinks, the connection goes on */
    tc_hang_up(c);
    ck_assert_uint_eq(h->access.cancelled, 1);
    ck_assert_ptr_null(h->access.waiting);
}
