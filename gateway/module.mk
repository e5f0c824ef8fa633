# The program: gateway/main.c and everything below it.
