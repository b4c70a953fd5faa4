/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h: the command's words that talk to a gateway which runs (spec-control section 3). One
 * table makes the help, the manual page's list and the completion.
 */
#ifndef SLUICE_CONTROL_WORDS_H
#define SLUICE_CONTROL_WORDS_H

#include <stdio.h>

#include "client.h"

struct sl_word {
	const char *name;
	const char *args; /* as help shows them; "" */
	const char *text;
	int (*run)(const struct sl_client *client, int argc, char **argv); /* arguments alone */
	int least, most;                                                   /* how many of them */
	char flag; /* its own option: -f, or d: --dry-run; 0: none */
};

extern const struct sl_word sl_words[];
extern const size_t sl_words_count;

/* The word of that name, or NULL. */
const struct sl_word *sl_word_find(const char *name);

/* Reads the options and runs the word. Returns the exit code. */
int sl_word_main(const struct sl_word *word, int argc, char **argv);

/* A line of help for each word. */
void sl_words_help(FILE *out);

/* words_show.c, words_change.c */
int sl_word_status(const struct sl_client *client, int argc, char **argv);
int sl_word_health(const struct sl_client *client, int argc, char **argv);
int sl_word_ls(const struct sl_client *client, int argc, char **argv);
int sl_word_get(const struct sl_client *client, int argc, char **argv);
int sl_word_flows(const struct sl_client *client, int argc, char **argv);
int sl_word_pins(const struct sl_client *client, int argc, char **argv);
int sl_word_events(const struct sl_client *client, int argc, char **argv);
int sl_word_cut(const struct sl_client *client, int argc, char **argv);
int sl_word_policies(const struct sl_client *client, int argc, char **argv);
int sl_word_set(const struct sl_client *client, int argc, char **argv);
int sl_word_rm(const struct sl_client *client, int argc, char **argv);
int sl_word_apply(const struct sl_client *client, int argc, char **argv);
int sl_word_diff(const struct sl_client *client, int argc, char **argv);

#endif
