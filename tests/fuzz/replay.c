/* Runs one fuzz target over the files that are named, without libFuzzer: crashes stay fixed under every compiler. */
#include "input.h"

int main(int count, char **names) {
    for (int n = 1; n < count; n++) {
        FILE *file = fopen(names[n], "rb");
        if (!file || fseek(file, 0, SEEK_END)) {
            perror(names[n]);
            return 2;
        }
        size_t size = (size_t)ftell(file);
        uint8_t *data = room(size, 1);
        rewind(file);
        CHECK(fread(data, 1, size, file) == size);
        fclose(file);
        fprintf(stderr, "%s\n", names[n]); /* the last name before a crash is the culprit */
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    return 0;
}
