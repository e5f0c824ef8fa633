/**
 * tidegate store check|dump|backup|compact|restore: what an administrator does with a store without serving from it.
 */
#ifndef GATEWAY_STORE_COMMAND_H
#define GATEWAY_STORE_COMMAND_H

/**
 * Do what the command line says. ARGV begins with "store".
 * @return exit status: 0; 1: check found damaged entries; 2: the command line is wrong, or it could not be done
 */
int store_command(int argc, char **argv);

#endif
