/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docmem.h: memory of one document, freed in one call.
 *
 * A document has hundreds of thousands of small pieces that live and die together. The memory comes
 * from malloc: documents are short-lived and not part of a generation.
 */
#ifndef SLUICE_CONTROL_DOCMEM_H
#define SLUICE_CONTROL_DOCMEM_H

#include <stddef.h>

struct sl_docmem;

/* NULL without memory. One thread at a time. */
struct sl_docmem *sl_docmem_create(void);

/* Frees it and all that came from it. NULL is fine. */
void sl_docmem_destroy(struct sl_docmem *mem);

/* Zeroed memory for n things of size bytes, aligned for any type; NULL without memory. n may be 0.
 */
void *sl_docmem_alloc(struct sl_docmem *mem, size_t n, size_t size);

/* A NUL-terminated copy of len bytes; NULL without memory. */
char *sl_docmem_copy(struct sl_docmem *mem, const char *text, size_t len);

#endif
