# Unit tests of protocol/.
