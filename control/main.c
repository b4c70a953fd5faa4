/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: the one executable and its subcommands.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "commands.h"
#include "words/words.h"

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *text;
} commands[] = {
        {"run", sl_run_main, "forward between two ports as the policy allows"},
        {"check", sl_check_main, "find the mistakes in policy and config files"},
        {"replay", sl_replay_main, "try a policy on recorded traffic"},
};

static void print_usage(FILE *out)
{
	fputs("usage: sluice COMMAND [OPTIONS]\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].text);
	fputs("\nof a gateway that runs:\n\n", out);
	sl_words_help(out);
	fputs("\nsluice COMMAND --help says more; so does sluice(8).\n", out);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_usage(stdout);
		return 0;
	}
	if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		printf("sluice %s\n", SLUICE_VERSION);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	if (argc >= 2 && sl_word_find(argv[1]) != NULL)
		return sl_word_main(sl_word_find(argv[1]), argc - 1, argv + 1);
	if (argc >= 2)
		fprintf(stderr, "sluice: there is no command \"%s\"\n", argv[1]);
	print_usage(stderr);
	return 2;
}
