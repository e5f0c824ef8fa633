# Unit tests of gateway/broker/.
