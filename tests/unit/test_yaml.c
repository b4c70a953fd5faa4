/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_yaml.c: the tree with lines and columns, the part of YAML that is refused, and documents
 * that are built to cost time or memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag_expect.h"
#include "document/yaml_tree.h"

#define FILE_MAX (64u << 20)

static struct sl_diag diag;
static struct sl_yaml_doc *doc;

static int set_up(void **state)
{
	sl_diag_init(&diag);
	doc = NULL;
	return 0;
}

static int tear_down(void **state)
{
	sl_yaml_doc_free(doc);
	sl_diag_free(&diag);
	return 0;
}

static int read_bytes(const char *bytes, size_t len)
{
	char *copy = exactly(bytes, len);
	int rc = sl_yaml_read_buffer("t", copy, len, FILE_MAX, &diag, &doc);

	free(copy);
	return rc;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void expect_errors(const char *const *expected, size_t n)
{
	expect_texts(&diag, SL_DIAG_ERROR, "t", expected, n);
	sl_diag_free(&diag);
	sl_yaml_doc_free(doc);
	doc = NULL;
}

/* One error, and no tree. */
static void refuse_bytes(const char *bytes, size_t len, const char *expected)
{
	assert_int_equal(read_bytes(bytes, len), -EINVAL);
	expect_errors(&expected, 1);
}

static void refuse(const char *text, const char *expected)
{
	refuse_bytes(text, strlen(text), expected);
}

/* One error, and a tree, so that other errors can be found. */
static void mark(const char *text, const char *expected)
{
	assert_int_equal(read_text(text), 0);
	expect_errors(&expected, 1);
}

static void expect_node(const struct sl_yaml_node *node, enum sl_yaml_kind kind, const char *text,
                        uint32_t line, uint32_t column)
{
	assert_non_null(node);
	assert_int_equal(node->kind, kind);
	if (text != NULL)
		assert_string_equal(node->text, text);
	assert_int_equal(node->line, line);
	assert_int_equal(node->column, column);
}

static void tree_keeps_order_and_places(void **state)
{
	const struct sl_yaml_node *node;

	assert_int_equal(read_text("a: 1\nb:\n  - x\n  - 'y'\nc: {d: []}\n"), 0);
	assert_int_equal(diag.errors, 0);
	expect_node(doc->root, SL_YAML_MAPPING, NULL, 1, 1);
	assert_int_equal(doc->root->n, 3);
	node = doc->root->first;
	expect_node(node, SL_YAML_SCALAR, "a", 1, 1);
	expect_node(node->next, SL_YAML_SCALAR, "1", 1, 4);
	node = node->next->next->next;
	expect_node(node, SL_YAML_LIST, NULL, 3, 3);
	assert_int_equal(node->n, 2);
	expect_node(node->first, SL_YAML_SCALAR, "x", 3, 5);
	assert_true(node->first->plain);
	expect_node(node->first->next, SL_YAML_SCALAR, "y", 4, 5);
	assert_false(node->first->next->plain);
	node = node->next->next;
	expect_node(node, SL_YAML_MAPPING, NULL, 5, 4);
	expect_node(node->first->next, SL_YAML_LIST, NULL, 5, 8);
	assert_int_equal(node->first->next->n, 0);
}

static void columns_count_characters(void **state)
{
	assert_int_equal(read_text("\xc3\xbc: {\xe6\x97\xa5: x}\n"), 0);
	expect_node(doc->root->first->next->first->next, SL_YAML_SCALAR, "x", 1, 8);
}

static void words_of_other_yamls_stay_texts(void **state)
{
	const struct sl_yaml_node *item;
	const char *const words[] = {"on", "off", "yes", "no", "0x10", "0101", "1e3", "true"};

	assert_int_equal(read_text("[on, off, yes, no, 0x10, 0101, 1e3, true]"), 0);
	item = doc->root->first;
	for (size_t i = 0; i < COUNT(words); i++, item = item->next) {
		row(words[i]);
		assert_int_equal(item->kind, SL_YAML_SCALAR);
		assert_string_equal(item->text, words[i]);
	}
}

static void plain_null_is_null_and_quoted_is_text(void **state)
{
	const struct sl_yaml_node *item;

	assert_int_equal(read_text("[~, null, NULL, '~', \"null\", '']"), 0);
	item = doc->root->first;
	for (size_t i = 0; i < 6; i++, item = item->next)
		assert_int_equal(item->kind, i < 3 ? SL_YAML_NULL : SL_YAML_SCALAR);
}

static void missing_value_points_to_its_key(void **state)
{
	assert_int_equal(read_text("a:\n  b:\n"), 0);
	expect_node(doc->root->first->next->first->next, SL_YAML_NULL, "", 2, 3);
}

static void line_endings_and_byte_order_mark_are_harmless(void **state)
{
	assert_int_equal(read_text("\xef\xbb\xbf"
	                           "a: 1\r\nb: x\r\n"),
	                 0);
	assert_int_equal(diag.errors, 0);
	expect_node(doc->root->first, SL_YAML_SCALAR, "a", 1, 1);
	expect_node(doc->root->first->next->next->next, SL_YAML_SCALAR, "x", 2, 4);
}

static void unquoted_star_is_told_and_passed_over(void **state)
{
	const char *const expected[] = {
	        "2:5: unquoted \"*.example.com\" is a YAML alias; write \"*.example.com\" in "
	        "quotes",
	        "3:5: unquoted \"*foo\" is a YAML alias",
	        "4:5: unquoted \"*\" is a YAML alias",
	        "5:9: unquoted \"*.x.com\" is a YAML alias",
	        "5:18: unquoted \"*.y\" is a YAML alias",
	        "6:1: unquoted \"*.key.com\" is a YAML alias",
	        "7:1: repeated key \"a\"; it first stands in line 1",
	};

	assert_int_equal(read_text("a:\n"
	                           "  - *.example.com\n"
	                           "  - *foo\n"
	                           "  - *\n"
	                           "  - [a, *.x.com, *.y]\n"
	                           "*.key.com: []\n"
	                           "a: b\n"),
	                 0);
	expect_errors(expected, COUNT(expected));
}

static void unquoted_star_is_a_broken_node(void **state)
{
	assert_int_equal(read_text("[*.x.com, *foo, y]"), 0);
	assert_int_equal(doc->root->n, 3);
	assert_int_equal(doc->root->first->kind, SL_YAML_BROKEN);
	assert_int_equal(doc->root->first->next->kind, SL_YAML_BROKEN);
	assert_int_equal(doc->root->first->next->next->kind, SL_YAML_SCALAR);
}

static void anchors_tags_and_merge_keys_are_refused(void **state)
{
	mark("a: &x b\n", "1:4: anchor (&x)");
	mark("a: &x [b]\n", "1:4: anchor (&x)");
	mark("a: !!str b\n", "1:4: tag");
	mark("a: !x {b: c}\n", "1:4: tag");
	mark("a: {<<: b}\n", "1:5: merge keys");
	mark("%TAG ! tag:x,2000:\n---\na: b\n", "1:1: %TAG");
}

static void alias_bomb_dies_at_its_first_anchor(void **state)
{
	char text[4096] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";

	for (int i = 1; i < 30; i++)
		sprintf(text + strlen(text), "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
		        i - 1, i - 1, i - 1);
	assert_int_equal(read_text(text), 0);
	assert_int_equal(diag.errors, 30 + 29 * 4);
	assert_int_equal(diag.kept_errors, SL_DIAG_MAX);
}

static void repeated_keys_are_each_told(void **state)
{
	const char *const expected[] = {
	        "1:11: repeated key \"a\"; it first stands in line 1",
	        "1:17: repeated key \"a\"; it first stands in line 1",
	};

	assert_int_equal(read_text("{a: 1,    a: 2, \"a\": 3}"), 0);
	expect_errors(expected, COUNT(expected));
}

static void keys_that_are_no_text_are_refused(void **state)
{
	mark("{[a]: b}", "1:2: cannot be a key");
	mark("? {a: b}\n: c\n", "1:3: cannot be a key");
	mark("~: b\n", "1:1: cannot be a key");
}

static void second_document_is_refused(void **state)
{
	refuse("a: b\n---\nc: d\n", "2:1: second document");
}

static void empty_documents_are_refused(void **state)
{
	const char *const texts[] = {"",  "\n\n",   "# only a comment\n", "---\n", "---\n...\n",
	                             "~", "null\n", "\xef\xbb\xbf"};

	for (size_t i = 0; i < COUNT(texts); i++) {
		row(texts[i]);
		refuse(texts[i], "1:1: the document is empty");
	}
}

static void bytes_that_are_no_text_are_refused_with_their_place(void **state)
{
	refuse_bytes("a: b\nc: \0\n", 10, "2:4: NUL");
	refuse("a: b\nc: \xff\n", "2:4: byte 0xff is no UTF-8");
	refuse("\xc3\xbc: \xc3(\n", "1:4: byte 0xc3");
	refuse("a: \xed\xa0\x80\n", "1:4: no UTF-8"); /* a surrogate */
	refuse("a: \xc0\xaf\n", "1:4: no UTF-8");     /* an overlong form */
	refuse("a: \xf4\x90\x80\x80\n", "1:4: no UTF-8");
	refuse("a: \xe2\x82", "1:4: no UTF-8"); /* cut */
	refuse("a: \x1b[31m\n", "1:4: control character");
	refuse_bytes("\xff\xfe"
	             "a\0:\0",
	             6, "1:1: no UTF-8"); /* UTF-16 */
}

static void nul_by_escape_is_refused(void **state)
{
	mark("a: \"x\\0y\"\n", "1:4: NUL");
}

static void syntax_errors_teach(void **state)
{
	refuse("a:\n\t- b\n", "2:1: tab");
	refuse("a: @b\n", "1:4: quotes");
	refuse("a: `b\n", "1:4: quotes");
	refuse("a: [::1, x]\n", "1:5: IPv6 address needs quotes");
	refuse("a: [b\n", "2:1: flow sequence, which begins in line 1");
	refuse("a: 'b\n", "2:1: quoted scalar");
}

static void errors_before_a_syntax_error_are_kept(void **state)
{
	const char *const expected[] = {
	        "1:4: unquoted \"*.x\"",
	        "2:11: repeated key \"c\"",
	        "5:1: YAML",
	};

	assert_int_equal(read_text("a: *.x\nb: {c: 1, c: 2}\nd: [\n\n"), -EINVAL);
	expect_errors(expected, COUNT(expected));
}

static void depth_is_bounded(void **state)
{
	char text[2100];

	memset(text, '[', 1000);
	memset(text + 1000, ']', 1000);
	text[2000] = '\0';
	refuse(text, "1:33: nested more than 32 levels");
	memset(text + 32, ']', 32);
	text[64] = '\0';
	assert_int_equal(read_text(text), 0);
}

/* ---- what costs time or memory ---- */

/* A text of n times a piece, between a head and a tail. The caller frees it. */
static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
	size_t step = strlen(piece);
	char *text = malloc(strlen(head) + n * step + strlen(tail) + 1), *at = text;

	assert_non_null(text);
	at = stpcpy(at, head);
	for (size_t i = 0; i < n; i++, at += step)
		memcpy(at, piece, step);
	strcpy(at, tail);
	return text;
}

/* What takes the square of its size takes hours here, and the suite has a timeout. */
static void expect_no_square(const char *head, const char *piece, size_t n, const char *tail,
                             bool refused)
{
	char *text = repeat(head, piece, n, tail);
	int rc = read_text(text);

	assert_true(refused == (rc < 0 || diag.errors > 0));
	assert_true(diag.kept_errors <= SL_DIAG_MAX);
	sl_diag_free(&diag);
	sl_yaml_doc_free(doc);
	doc = NULL;
	free(text);
}

static void hostile_documents_end_quickly(void **state)
{
	expect_no_square("a: ", "[", 1000000, "", true);
	expect_no_square("", "- ", 500000, "", true);
	expect_no_square("", "? ", 500000, "", true);
	expect_no_square("", "{a: ", 250000, "", true);
	expect_no_square("a: [", "a,", 10000000, "]", true);
	expect_no_square("a:\n", "  - *.x.com\n", 100000, "", true);
	expect_no_square("", "a: b\n", 200000, "", true);
	expect_no_square("a: \"", "x ", 5000000, "\"", false);
	expect_no_square("", "#", 20000000, "\na: b\n", false);
}

static void many_different_keys_are_no_square(void **state)
{
	char *text = malloc(300000 * 16), *at = text;

	assert_non_null(text);
	for (int i = 0; i < 300000; i++)
		at += sprintf(at, "k%d: v\n", i);
	assert_int_equal(read_text(text), 0);
	assert_int_equal(diag.errors, 0);
	assert_int_equal(doc->root->n, 300000);
	free(text);
}

/* ---- files ---- */

static char path[128];

static int make_file(void **state)
{
	snprintf(path, sizeof(path), "%s/sluice-test-yaml-XXXXXX",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	return set_up(state);
}

static int remove_file(void **state)
{
	unlink(path);
	return tear_down(state);
}

static void expect_file_error(int rc, const char *expected)
{
	assert_int_equal(sl_yaml_read_file(path, FILE_MAX, &diag, &doc), rc);
	expect_texts(&diag, SL_DIAG_ERROR, path, &expected, 1);
	assert_null(doc);
}

static void file_beyond_the_limit_is_refused_unread(void **state)
{
	assert_int_equal(truncate(path, 100 << 20), 0);
	expect_file_error(-EFBIG, "1:1: larger than 67108864 bytes");
}

static void file_that_is_not_there_is_told(void **state)
{
	unlink(path);
	expect_file_error(-ENOENT, "1:1: cannot open");
}

static void directory_is_told(void **state)
{
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_file_error(-EISDIR, "1:1: cannot read");
	rmdir(path);
}

static void pipe_without_writer_does_not_hang(void **state)
{
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_file_error(-EINVAL, "1:1: empty");
}

static void endless_device_is_bounded(void **state)
{
	assert_int_equal(sl_yaml_read_file("/dev/zero", 1 << 20, &diag, &doc), -EFBIG);
	assert_int_equal(diag.errors, 1);
}

int main(void)
{
#define TEST(name)      cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)
	const struct CMUnitTest tests[] = {
	        TEST(tree_keeps_order_and_places),
	        TEST(columns_count_characters),
	        TEST(words_of_other_yamls_stay_texts),
	        TEST(plain_null_is_null_and_quoted_is_text),
	        TEST(missing_value_points_to_its_key),
	        TEST(line_endings_and_byte_order_mark_are_harmless),
	        TEST(unquoted_star_is_told_and_passed_over),
	        TEST(unquoted_star_is_a_broken_node),
	        TEST(anchors_tags_and_merge_keys_are_refused),
	        TEST(alias_bomb_dies_at_its_first_anchor),
	        TEST(repeated_keys_are_each_told),
	        TEST(keys_that_are_no_text_are_refused),
	        TEST(second_document_is_refused),
	        TEST(empty_documents_are_refused),
	        TEST(bytes_that_are_no_text_are_refused_with_their_place),
	        TEST(nul_by_escape_is_refused),
	        TEST(syntax_errors_teach),
	        TEST(errors_before_a_syntax_error_are_kept),
	        TEST(depth_is_bounded),
	        TEST(hostile_documents_end_quickly),
	        TEST(many_different_keys_are_no_square),
	        FILE_TEST(file_beyond_the_limit_is_refused_unread),
	        FILE_TEST(file_that_is_not_there_is_told),
	        FILE_TEST(directory_is_told),
	        FILE_TEST(pipe_without_writer_does_not_hang),
	        FILE_TEST(endless_device_is_bounded),
	};

	return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
