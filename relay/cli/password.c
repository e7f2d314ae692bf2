/* password.c - reads a password. */
#include "relay/cli/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Up to the line's end; -1: nothing, or too long. */
static int read_line(int fd, char out[static CLI_PASSWORD_MAX])
{
    size_t len = 0;

    while (len < CLI_PASSWORD_MAX) {
        ssize_t got = read(fd, out + len, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || out[len] == '\n')
            break;
        len++;
    }
    if (len > 0 && len < CLI_PASSWORD_MAX && out[len - 1] == '\r')
        len--;
    if (len == 0 || len == CLI_PASSWORD_MAX)
        return -1;
    out[len] = '\0';
    return memchr(out, 0, len) == NULL ? 0 : -1;
}

static int ask(int tty, const char *prompt, char out[static CLI_PASSWORD_MAX])
{
    struct termios before, quiet;

    if (tcgetattr(tty, &before) < 0)
        return -1;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(tty, TCSAFLUSH, &quiet);
    (void)!write(tty, prompt, strlen(prompt));
    int result = read_line(tty, out);

    (void)tcsetattr(tty, TCSAFLUSH, &before);
    (void)!write(tty, "\n", 1);
    return result;
}

int cli_password(const struct cli *cli, const char *file, const char *prompt,
                 char out[static CLI_PASSWORD_MAX])
{
    bool is_stdin = file != NULL && strcmp(file, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO
                      : open(file != NULL ? file : "/dev/tty",
                             (file != NULL ? O_RDONLY : O_RDWR) | O_CLOEXEC);

    if (fd < 0 && file == NULL)
        return cli_misuse(cli,
                          "there is no terminal to ask for the password: --password-file FILE");
    if (fd < 0)
        return cli_fail(EXIT_FAILED, "%s: %s", file, strerrordesc_np(errno));
    int result = file != NULL ? read_line(fd, out) : ask(fd, prompt, out);

    if (!is_stdin)
        close(fd);
    if (result == 0)
        return EXIT_GOOD;
    return cli_fail(EXIT_FAILED, "%s: there is no password, or none that could be one",
                    file != NULL ? file : "terminal");
}
