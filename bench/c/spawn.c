/* Times programs as whole processes, in turns and in random order, and prints a line for each run:
 *
 *	PROGRAM WALL_NANOSECONDS CPU_MICROSECONDS MINOR_FAULTS PEAK_KILOBYTES
 *
 * usage: spawn ROUNDS SEED JOBFILE
 *
 * A line of JOBFILE describes a program, in fields separated by tabs: a file and the path to which it is copied before each
 * run (both empty if there is none), then argv. spawn is written in C and uses posix_spawn, so that its own cost is small
 * and constant.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_JOBS = 64, MAX_ARGS = 64 };

struct job {
	char *from, *to; /* the file that is copied before each run, and the path of the copy */
	char *argv[MAX_ARGS];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* It does not keep the file in memory: until a started program execs, its peak is that of this process. */
static void restore(const struct job *j)
{
	static char buffer[1 << 16];
	ssize_t n;
	int from, to;
	if (!*j->from)
		return;
	from = open(j->from, O_RDONLY);
	to = open(j->to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (from < 0 || to < 0)
		die(j->from);
	while ((n = read(from, buffer, sizeof buffer)) > 0)
		if (write(to, buffer, n) != n)
			die(j->to);
	if (n < 0)
		die(j->from);
	close(from);
	close(to);
}

static void run(const struct job *j, int index)
{
	struct timespec from, to;
	struct rusage used;
	int status;
	pid_t pid;

	restore(j);
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (posix_spawn(&pid, j->argv[0], NULL, NULL, j->argv, environ))
		die(j->argv[0]);
	if (wait4(pid, &status, 0, &used) < 0)
		die("wait4");
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (status) {
		fprintf(stderr, "%s: wait status %d\n", j->argv[0], status);
		exit(1);
	}
	printf("%d %lld %ld %ld %ld\n", index, (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec,
	       (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec,
	       used.ru_minflt, used.ru_maxrss);
}

int main(int argc, char **argv)
{
	static struct job jobs[MAX_JOBS];
	int order[MAX_JOBS], count = 0, rounds, i, k;
	char *line = NULL;
	size_t room = 0;
	FILE *f;

	if (argc != 4 || !(f = fopen(argv[3], "r")))
		die("usage: spawn ROUNDS SEED JOBFILE");
	rounds = atoi(argv[1]);
	srand(atoi(argv[2]));
	while (getline(&line, &room, f) > 0 && count < MAX_JOBS) {
		struct job *j = &jobs[count];
		char *rest = strdup(line);
		rest[strcspn(rest, "\n")] = 0;
		j->from = strsep(&rest, "\t");
		j->to = strsep(&rest, "\t");
		for (k = 0; rest && k < MAX_ARGS - 1; k++)
			j->argv[k] = strsep(&rest, "\t");
		order[count] = count;
		count++;
	}
	for (i = -1; i < rounds; i++) { /* the first round is a warm-up and does not count */
		if (i == 0)
			printf("warm\n");
		for (k = count - 1; k > 0; k--) {
			int other = rand() % (k + 1), was = order[k];
			order[k] = order[other];
			order[other] = was;
		}
		for (k = 0; k < count; k++)
			run(&jobs[order[k]], order[k]);
	}
	return 0;
}
