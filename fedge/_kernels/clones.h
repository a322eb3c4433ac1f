/* Marks functions worth compiling for several machines; the loader picks the one that fits. */

#ifndef FEDGE_CLONES_H
#define FEDGE_CLONES_H

/* The x86-64 baseline has neither products nor minima of 32-bit integers, and half the width. The
   loader's choice needs the IFUNC of glibc. */
#ifndef FEDGE_CLONES
#if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__)
#define FEDGE_CLONES                                                                       \
    __attribute__((unused, target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FEDGE_CLONES __attribute__((unused))
#endif
#endif

#endif
