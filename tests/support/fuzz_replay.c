/* fuzz_replay.c - runs files, or all files of folders, through a fuzz target once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static unsigned replayed;

static void replay_file(const char *path, size_t size)
{
    /* Exactly as large as the input, so that AddressSanitizer sees one byte too many. */
    uint8_t *input = malloc(size);
    FILE *file = fopen(path, "rb");

    if (file == NULL || (input == NULL && size > 0) || fread(input, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
    replayed++;
}

static void replay(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path, (size_t)status.st_size);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char inner[4096];

        if (entries[i]->d_name[0] != '.') {
            snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
            replay(inner);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%u inputs replayed\n", replayed);
    if (replayed == 0) {
        fprintf(stderr, "nothing to replay\n");
        return 1;
    }
    return 0;
}
