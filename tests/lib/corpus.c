/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corpus.c: see corpus.h.
 */
#include "corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_bytes(const char *directory, struct corpus_file *file)
{
	char path[512];
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", directory, file->file);
	stream = fopen(path, "rb");
	if (stream == NULL) {
		perror(path);
		abort();
	}
	file->len = fread(file->bytes, 1, sizeof(file->bytes), stream);
	fclose(stream);
}

size_t corpus_read(const char *kind, struct corpus_file **files)
{
	const char *directory = getenv("SLUICE_CORPUS");
	char line[1024], path[512];
	size_t count = 0;
	FILE *table;

	*files = NULL;
	if (directory == NULL || *directory == '\0') {
		printf("skipped: SLUICE_CORPUS names no directory of recorded hellos\n");
		return 0;
	}
	snprintf(path, sizeof(path), "%s/vectors.tsv", directory);
	table = fopen(path, "r");
	if (table == NULL) {
		printf("skipped: %s cannot be read\n", path);
		return 0;
	}
	while (fgets(line, sizeof(line), table) != NULL) {
		struct corpus_file file = {.len = 0};

		if (sscanf(line, "%127[^\t]\t%127[^\t]\t%39[^\t]\t%*[^\t]\t%127[^\t]", file.file,
		           file.group, file.kind, file.sni) != 4)
			continue;
		if (strcmp(file.kind, kind) != 0)
			continue;
		read_bytes(directory, &file);
		*files = realloc(*files, (count + 1) * sizeof(**files));
		if (*files == NULL)
			abort();
		(*files)[count++] = file;
	}
	fclose(table);
	return count;
}
