# Unit tests of gateway/access/.
