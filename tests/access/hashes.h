/**
 * Password hashes for tests: of "secret" unless a line says otherwise, made with Python's hashlib unless a line says otherwise.
 */
#ifndef TESTS_ACCESS_HASHES_H
#define TESTS_ACCESS_HASHES_H

#define HASH_S6_12 /* $6$ with the salt of Mosquitto up to 2.0 */                                                      \
    "$6$AAECAwQFBgcICQoL$JqsxEv/ucyxjA5DKsQ+Y8CDWaQDNQI9FpAkmfwAqWfwZLk/JEGgM0EpylrJHAZKKyFQj"                         \
    "JeZ3nFaHjPzOzPPmPw=="
#define HASH_S6_64 /* with that of 2.1 */                                                                              \
    "$6$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P"                         \
    "w==$wEYf8F4/yHDmlCt3YmMXwFi//Ux0IOce8NucN+r/9QAuqoVaYz7SU9131YSsyqLHn9NUpM/F4yTaDANhOFpYTQ=="
#define HASH_S6_11 /* a salt that neither writes */                                                                    \
    "$6$AAECAwQFBgcICQo=$E9XJdSsY2g3Vrz4/k5bRQt2t03kS7QAKnTAGe5LYCEzt054SfKFjNm+0x/viBWQBChC4"                         \
    "uvzipIimAMvXGr/4uw=="
#define HASH_S6_NUL /* of "se\0cret" */                                                                                \
    "$6$AAECAwQFBgcICQoL$nWEzmYtItVjCBlWrPKCvsRx6XIMbHVNoZBU55K09HmcD38pzozBpgN4vEKuKxsS4MUCn"                         \
    "O8iF2+60QrP4Rwjluw=="
#define HASH_S6_EMPTY /* of "" */                                                                                      \
    "$6$AAECAwQFBgcICQoL$ulGyqdovJv6B/D7hFSQlWTfsa+xIg160N8WYxVZ04VqlD4iSLedYQzKl5NJHhwkMsU38"                         \
    "Or2znFWu327hCPlTVA=="
#define HASH_S7_12                                                                                                     \
    "$7$101$AAECAwQFBgcICQoL$Xr99N9ym9ys8TWxis5ajETJq6EVYzmc6nb8t3pUYnPBbCAbICS4xejTltonXWCtJ"                         \
    "NBvA+By+TXUqU6qCblO00w=="
#define HASH_S7_64                                                                                                     \
    "$7$1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"                         \
    "PD0+Pw==$j5aX3DstWRgO5cjjfvKvsf7Z/KK812T4wGDMih+DCHQg8P7++fmj4sZcMp1smkEafZL0QZ29tE5ezahL/nyffw=="
#define HASH_S7_1                                                                                                      \
    "$7$1$AAECAwQFBgcICQoL$uPgYlNSj48MQgAtbD9l4ctE/0+jXazzikaLCc8HFXmTrANnrCPboYykko+EuPyWS0u"                         \
    "QezlDWCUTiHvjxrkjA7g=="
#define HASH_ARGON2 /* by argon2(1) */                                                                                 \
    "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$ngZPvxJKdJI99FSUmtMviiqyfQcSzpLQ/p8aRBypscc"
#define HASH_MOSQUITTO_2_0 /* by mosquitto_passwd 2.0.11 */                                                            \
    "$7$101$eVoIGf4iojt0vA5l$01j3iB8yh64dO7YNhnbE5DerMm2nLmTkmI+1RGOVko7Aq4t+DJ8LVSq4q0N6S6ZE"                         \
    "DS7dOkJRuZewkCaKjsudBw=="

#endif
