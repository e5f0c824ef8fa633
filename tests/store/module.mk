# Unit tests of gateway/store/.
