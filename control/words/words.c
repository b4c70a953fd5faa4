/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c: the table of words, what they have in common, and what is made of the table.
 */
#include "words.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET "/run/sluice/control.sock"

static int completion(const struct sl_client *client, int argc, char **argv);

const struct sl_word sl_words[] = {
        {"status", "", "what runs: version, policy, generation, ports, workers, problems",
         sl_word_status, 0, 0},
        {"ls", "", "all sandboxes, with what was let through and denied", sl_word_ls, 0, 0},
        {"get", "SANDBOX|policy", "one sandbox, or the whole policy as a document", sl_word_get, 1,
         1},
        {"policies", "", "the policies that sandboxes refer to by name", sl_word_policies, 0, 0},
        {"set", "SANDBOX allow-all|deny-all|FILE|-", "give a sandbox a policy", sl_word_set, 2, 2},
        {"rm", "SANDBOX", "remove a sandbox: nothing of its VLAN passes any more", sl_word_rm, 1,
         1},
        {"apply", "FILE [--dry-run]", "replace the whole policy by a document", sl_word_apply, 1, 1,
         'd'},
        {"diff", "FILE", "what a document would change; exit 1 if anything", sl_word_diff, 1, 1},
        {"flows", "[SANDBOX]", "flows that are open, of one sandbox or of all", sl_word_flows, 0,
         1},
        {"pins", "SANDBOX", "addresses that DNS gave a sandbox", sl_word_pins, 1, 1},
        {"events", "[-f]", "the latest decisions and pushes; -f: those that come as well",
         sl_word_events, 0, 0, 'f'},
        {"cut", "SANDBOX", "reset and forget a sandbox's flows", sl_word_cut, 1, 1},
        {"health", "", "whether anything is wrong; exit 1 if so", sl_word_health, 0, 0},
        {"completion", "bash|man", "completion for a shell, or the manual page's list of words",
         completion, 1, 1},
};
const size_t sl_words_count = sizeof(sl_words) / sizeof(sl_words[0]);

const struct sl_word *sl_word_find(const char *name)
{
	for (size_t i = 0; i < sl_words_count; i++)
		if (strcmp(sl_words[i].name, name) == 0)
			return &sl_words[i];
	return NULL;
}

void sl_words_help(FILE *out)
{
	for (size_t i = 0; i < sl_words_count; i++)
		fprintf(out, "  %-10s %s\n", sl_words[i].name, sl_words[i].text);
}

static void print_usage(const struct sl_word *word, FILE *out)
{
	fprintf(out,
	        "usage: sluice %s [--socket PATH] [-o table|json|yaml]%s%s\n\n%s\n\n"
	        "--socket: the gateway's control socket (SLUICE_SOCKET, or " SOCKET ")\n"
	        "--url https://HOST:PORT --cert FILE --key FILE [--ca FILE]: by TLS instead\n",
	        word->name, word->args[0] != '\0' ? " " : "", word->args, word->text);
}

static bool read_output(const char *text, enum sl_client_output *output)
{
	static const char *const words[] = {"table", "json", "yaml"};

	for (unsigned i = 0; i < 3; i++)
		if (strcmp(text, words[i]) == 0) {
			*output = (enum sl_client_output)i;
			return true;
		}
	return false;
}

/* Options that say where the gateway is. */
static bool take_where(int option, struct sl_client *client)
{
	switch (option) {
	case 's':
		client->socket = optarg;
		return true;
	case 'u':
		client->url = optarg;
		return true;
	case 'c':
		client->cert = optarg;
		return true;
	case 'k':
		client->key = optarg;
		return true;
	case 'a':
		client->ca = optarg;
		return true;
	default:
		return false;
	}
}

int sl_word_main(const struct sl_word *word, int argc, char **argv)
{
	static const struct option longs[] = {
	        {"socket", required_argument, NULL, 's'}, {"output", required_argument, NULL, 'o'},
	        {"dry-run", no_argument, NULL, 'd'},      {"follow", no_argument, NULL, 'f'},
	        {"url", required_argument, NULL, 'u'},    {"cert", required_argument, NULL, 'c'},
	        {"key", required_argument, NULL, 'k'},    {"ca", required_argument, NULL, 'a'},
	        {"help", no_argument, NULL, 'h'},         {0},
	};
	const char *from_environment = getenv("SLUICE_SOCKET");
	struct sl_client client = {.socket = from_environment != NULL ? from_environment : SOCKET};
	int option;

	while ((option = getopt_long(argc, argv, "o:fh", longs, NULL)) != -1) {
		bool known = take_where(option, &client) || option == 'h' || option == word->flag ||
		             (option == 'o' && read_output(optarg, &client.output));

		if (!known || option == 'h') {
			print_usage(word, known ? stdout : stderr);
			return known ? SL_EXIT_OK : SL_EXIT_USAGE;
		}
		client.flag |= option == word->flag;
	}
	if (argc - optind < word->least || argc - optind > word->most) {
		print_usage(word, stderr);
		return SL_EXIT_USAGE;
	}
	return word->run(&client, argc - optind, argv + optind);
}

/* ---- completion ---- */

static void print_bash(void)
{
	printf("_sluice() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]}\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W 'run check replay");
	for (size_t i = 0; i < sl_words_count; i++)
		printf(" %s", sl_words[i].name);
	printf("' -- \"$word\"))\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < sl_words_count; i++) {
		if (strstr(sl_words[i].args, "SANDBOX") != NULL)
			printf("\t%s) COMPREPLY=($(compgen -W \"$(sluice ls -o json 2>/dev/null | "
			       "sed -n 's/.*\"vlan\": \\([0-9]*\\).*/\\1/p; "
			       "s/.*\"name\": \"\\([^\"]*\\)\".*/\\1/p')\" -- \"$word\")) ;;\n",
			       sl_words[i].name);
		else if (strncmp(sl_words[i].args, "FILE", 4) == 0)
			printf("\t%s) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n",
			       sl_words[i].name);
	}
	printf("\t*) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n\tesac\n}\ncomplete -F _sluice "
	       "sluice\n");
}

/* The list as mdoc(7) has it. */
static void print_man(void)
{
	for (size_t i = 0; i < sl_words_count; i++)
		printf(".It Ic %s%s%s\n%c%s.\n", sl_words[i].name,
		       sl_words[i].args[0] != '\0' ? " Ar " : "", sl_words[i].args,
		       sl_words[i].text[0] - 'a' + 'A', sl_words[i].text + 1);
}

static int completion(const struct sl_client *client, int argc, char **argv)
{
	if (strcmp(argv[0], "bash") == 0)
		print_bash();
	else if (strcmp(argv[0], "man") == 0)
		print_man();
	else
		return SL_EXIT_USAGE;
	return SL_EXIT_OK;
}
