/* What the C library would do, by whole words where it can; the same on every board. */

#include <stddef.h>
#include <stdint.h>

typedef uintptr_t __attribute__((may_alias)) word;

static int are_words(const void *a, const void *b) {
    return (((uintptr_t)a | (uintptr_t)b) & (sizeof(word) - 1)) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    unsigned char *a = to;
    const unsigned char *b = from;
    if (are_words(a, b))
        for (; n >= sizeof(word); n -= sizeof(word), a += sizeof(word), b += sizeof(word))
            *(word *)a = *(const word *)b;
    for (; n; n--) *a++ = *b++;
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    unsigned char *a = to;
    const unsigned char *b = from;
    if (a <= b || a >= b + n) return memcpy(to, from, n);
    while (n--) a[n] = b[n];
    return to;
}

void *memset(void *to, int byte, size_t n) {
    unsigned char *a = to;
    const word fill = (word)-1 / 255 * (unsigned char)byte;
    if (are_words(a, a))
        for (; n >= sizeof(word); n -= sizeof(word), a += sizeof(word)) *(word *)a = fill;
    for (; n; n--) *a++ = (unsigned char)byte;
    return to;
}
