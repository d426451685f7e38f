/* The writer of bench/logs: numbered lines of 100 bytes.
 *   lines write BYTES          all of them, as fast as standard output takes them
 *   lines pace LINES SECONDS   so many lines a second, one write a line up to 1000 a second
 *   lines check BYTES FILE...  whether the files, one behind the other, have exactly these lines
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, BLOCK_LINES = 640, BLOCK = LINE * BLOCK_LINES };

static void put(char *at, unsigned long long number) {
    memset(at, 'x', LINE);
    for (int digit = 11; digit >= 0; digit--, number /= 10) at[digit] = '0' + number % 10;
    at[12] = ' ';
    at[LINE - 1] = '\n';
}

static void write_all(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t done = write(1, bytes, count);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) exit(2);
        bytes += done;
        count -= done;
    }
}

static char block[BLOCK];

static void write_lines(unsigned long long bytes) {
    unsigned long long number = 0;
    while (bytes > 0) {
        for (int line = 0; line < BLOCK_LINES; line++) put(block + line * LINE, number++);
        size_t count = bytes < BLOCK ? bytes : BLOCK;
        write_all(block, count);
        bytes -= count;
    }
}

static void pace(long lines, double seconds) {
    long turns = lines < 1000 ? lines : 1000, each = lines / turns;
    unsigned long long number = 0;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    for (long turn = 0; turn < turns * seconds; turn++) {
        for (long line = 0; line < each;) {
            long now = each - line < BLOCK_LINES ? each - line : BLOCK_LINES;
            for (long at_line = 0; at_line < now; at_line++) put(block + at_line * LINE, number++);
            write_all(block, now * LINE);
            line += now;
        }
        at.tv_nsec += 1000000000 / turns;
        if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
}

static int check(unsigned long long bytes, char **files) {
    char line[LINE], wanted[LINE];
    unsigned long long number = 0, found = 0;
    size_t have = 0;
    for (; *files; files++) {
        FILE *file = fopen(*files, "r");
        if (!file) return perror(*files), 1;
        size_t count;
        while ((count = fread(line + have, 1, LINE - have, file)) > 0) {
            have += count;
            found += count;
            if (have < LINE) continue;
            put(wanted, number++);
            if (memcmp(line, wanted, LINE)) return fprintf(stderr, "line %llu differs\n", number), 1;
            have = 0;
        }
        fclose(file);
    }
    if (found != bytes) return fprintf(stderr, "%llu bytes of %llu\n", found, bytes), 1;
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "write")) return write_lines(strtoull(words[2], 0, 10)), 0;
    if (count == 4 && !strcmp(words[1], "pace")) return pace(atol(words[2]), atof(words[3])), 0;
    if (count >= 4 && !strcmp(words[1], "check")) return check(strtoull(words[2], 0, 10), words + 3);
    return 64;
}
