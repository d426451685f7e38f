/* The parts of the bench that must cost nothing themselves.
 *
 *   native stamp FILE             append the time of the first instruction, then wait for ever
 *   native keep PROGRAM …         restart PROGRAM whenever it ends: a supervisor that does nothing else
 *   native many COUNT PROGRAM …   start PROGRAM so many times
 *   native load PORT SECONDS FRESH KEPT
 *                                 clients on 127.0.0.1, one thread each: with a connection per
 *                                 request, and with one they keep; prints answers and failures
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int stamp(const char *path) {
  char line[32];
  int length = snprintf(line, sizeof line, "%lld\n", now());
  int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
  if (file < 0 || write(file, line, length) != length) return 1;
  close(file);
  for (;;) pause();
}

static pid_t start(char **words) {
  pid_t child = fork();
  if (child == 0) {
    execvp(words[0], words);
    _exit(127);
  }
  return child;
}

static int keep(char **words) {
  for (;;) {
    pid_t child = start(words);
    if (child < 0 || waitpid(child, NULL, 0) < 0) return 1;
  }
}

static int many(int count, char **words) {
  while (count-- > 0)
    if (start(words) < 0) return 1;
  for (;;) pause();
}

static int port;
static long long deadline;
static atomic_long answers, failures;

static int connected(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct timeval patience = {.tv_sec = 5};
  int one = 1, client = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(client, (struct sockaddr *)&address, sizeof address) == 0) return client;
  close(client);
  return -1;
}

/* One request and its whole answer; 1: good, 0: failed. `last`: the server said it is the last. */
static int exchange(int client, int kept, int *last) {
  char buffer[4096], request[128];
  size_t have = 0, head, body = 0;
  int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n",
                        kept ? "keep-alive" : "close");
  if (send(client, request, length, MSG_NOSIGNAL) != length) return 0;
  for (;;) {
    ssize_t got = recv(client, buffer + have, sizeof buffer - 1 - have, 0);
    if (got <= 0) return 0;
    have += got;
    buffer[have] = 0;
    char *end = strstr(buffer, "\r\n\r\n");
    if (!end) continue;
    head = end + 4 - buffer;
    char *field = strcasestr(buffer, "content-length:");
    body = field && field < end ? strtoul(field + 15, NULL, 10) : 0;
    if (have < head + body) continue;
    field = strcasestr(buffer, "connection: close");
    *last = field && field < end;
    return strncmp(buffer, "HTTP/1.1 200", 12) == 0;
  }
}

static void *ask(void *kept) {
  int client = -1;
  while (now() < deadline) {
    int last = 0;
    if (client < 0) client = connected();
    int good = client >= 0 && exchange(client, kept != NULL, &last);
    atomic_fetch_add(good ? &answers : &failures, 1);
    if (client >= 0 && (!good || last || !kept)) {
      close(client);
      client = -1;
    }
  }
  return NULL;
}

static int load(double seconds, int fresh, int kept) {
  pthread_t threads[256];
  int count = fresh + kept;
  if (count > 256) return 2;
  deadline = now() + (long long)(seconds * 1e9);
  for (int i = 0; i < count; i++)
    pthread_create(&threads[i], NULL, ask, i < fresh ? NULL : &port);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  printf("%ld %ld\n", atomic_load(&answers), atomic_load(&failures));
  return 0;
}

int main(int count, char **words) {
  const char *what = count > 1 ? words[1] : "";
  if (count == 3 && !strcmp(what, "stamp")) return stamp(words[2]);
  if (count > 2 && !strcmp(what, "keep")) return keep(words + 2);
  if (count > 3 && !strcmp(what, "many")) return many(atoi(words[2]), words + 3);
  if (count == 6 && !strcmp(what, "load")) {
    port = atoi(words[2]);
    return load(atof(words[3]), atoi(words[4]), atoi(words[5]));
  }
  fprintf(stderr, "see the head of native.c\n");
  return 2;
}
