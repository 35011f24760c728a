// The process that holds a pod's namespaces: waits until it is told to end, and buries orphans.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_child(int signal) {
  (void)signal;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

static void on_end(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  signal(SIGCHLD, on_child);
  signal(SIGINT, on_end);
  signal(SIGTERM, on_end);
  for (;;) pause();
}
