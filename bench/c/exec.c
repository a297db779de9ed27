/* A minimal wrapper with a C library: it execs the program that its first argument names. */
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	execv(argv[1], argv + 1);
	return 1;
}
