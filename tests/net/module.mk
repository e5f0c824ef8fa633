# Unit tests of gateway/net/.
