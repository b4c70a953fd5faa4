/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head.c: decides whether a client's first bytes are one complete, unambiguous HTTP/1.x
 * header section, and which host it asks for.
 *
 * It must never be more lenient than a server that might read the same bytes: a request that
 * servers interpret differently is refused. It keeps no bytes and allocates nothing.
 */
#include "http_head.h"

#include <string.h>

#include "cursor.h"

#define METHOD_MAX    32 /* bytes; the longest registered one has 17 */
#define VERSION_BYTES 8

#define TEXT(literal) ((const uint8_t *)(literal)), sizeof(literal) - 1

/* ---- where the header section ends ---- */

enum state {
	IN_METHOD = 0,
	IN_REQUEST_LINE, /* after the method and its blank */
	REQUEST_LINE_CR, /* CR seen, LF is due */
	AT_LINE,         /* before the first byte of a field line, or of the empty line */
	IN_LINE,
	LINE_CR,
	END_CR, /* of the empty line */
};

void sl_http_walk_init(struct sl_http_walk *w, uint32_t head_max)
{
	*w = (struct sl_http_walk){.answer = SL_PARSE_MORE, .head_max = head_max};
}

static enum sl_parse_result bad(struct sl_http_walk *w)
{
	w->reason = SL_REASON_MALFORMED_HTTP;
	return SL_PARSE_BAD;
}

static enum sl_parse_result not_mine(struct sl_http_walk *w)
{
	w->reason = SL_REASON_NOT_TLS;
	return SL_PARSE_NOT_MINE;
}

static enum sl_parse_result go_on(struct sl_http_walk *w, enum state state)
{
	w->state = (uint8_t)state;
	return SL_PARSE_MORE;
}

static bool is_control(uint8_t byte)
{
	return byte < 0x20 || byte == 0x7f;
}

/* RFC 9110 9.1. Methods are case-sensitive, and no registered one has lower-case letters. */
static enum sl_parse_result method_byte(struct sl_http_walk *w, uint8_t byte)
{
	if (byte == ' ' && w->len > 0)
		return go_on(w, IN_REQUEST_LINE);
	if (w->len == METHOD_MAX)
		return not_mine(w);
	if (sl_http_begins(byte) || (w->len > 0 && (byte == '-' || byte == '_')))
		return SL_PARSE_MORE;
	return not_mine(w);
}

/*
 * RFC 9112 2.3: the line has ended; does it end with a version? Many protocols begin with a word
 * in capitals, so the version is what identifies HTTP. HTTP/2's preface (`PRI * HTTP/2.0`) is
 * refused here.
 */
static enum sl_parse_result check_version(struct sl_http_walk *w)
{
	const uint64_t name = 0x485454502f; /* "HTTP/" */
	const uint64_t http_1_0 = name << 24 | 0x312e30, http_1_1 = name << 24 | 0x312e31;

	if (w->before != ' ' || w->latest >> 24 != name)
		return not_mine(w);
	return w->latest == http_1_0 || w->latest == http_1_1 ? SL_PARSE_MORE : bad(w);
}

static enum sl_parse_result request_line_byte(struct sl_http_walk *w, uint8_t byte)
{
	if (byte == '\r' || byte == '\n') {
		enum sl_parse_result answer = check_version(w);

		if (answer != SL_PARSE_MORE)
			return answer;
		return byte == '\r' ? go_on(w, REQUEST_LINE_CR) : bad(w);
	}
	if (is_control(byte) || byte >= 0x80)
		return bad(w);
	w->before = (uint8_t)(w->latest >> 56);
	w->latest = w->latest << 8 | byte;
	return SL_PARSE_MORE;
}

/*
 * RFC 9112 2.2 and 5. A lone LF ends a line for some servers, a lone CR is a blank for others, a
 * line that begins with a blank continues the one before (5.2, obs-fold) or is a line of its own,
 * NUL ends strings: any of them can be read in two ways.
 */
static enum sl_parse_result walk_byte(struct sl_http_walk *w, uint8_t byte)
{
	switch ((enum state)w->state) {
	case IN_METHOD:
		return method_byte(w, byte);
	case IN_REQUEST_LINE:
		return request_line_byte(w, byte);
	case REQUEST_LINE_CR:
	case LINE_CR:
		return byte == '\n' ? go_on(w, AT_LINE) : bad(w);
	case AT_LINE:
		if (byte == '\r')
			return go_on(w, END_CR);
		if (byte == ' ' || is_control(byte))
			return bad(w);
		return go_on(w, IN_LINE);
	case IN_LINE:
		if (byte == '\r')
			return go_on(w, LINE_CR);
		return is_control(byte) && byte != '\t' ? bad(w) : SL_PARSE_MORE;
	case END_CR:
		return byte == '\n' ? SL_PARSE_DONE : bad(w);
	}
	return bad(w);
}

enum sl_parse_result sl_http_walk_feed(struct sl_http_walk *w, const uint8_t *bytes, size_t len,
                                       size_t *used)
{
	enum sl_parse_result answer = w->answer;
	size_t at = 0;

	while (at < len && answer == SL_PARSE_MORE) {
		answer = walk_byte(w, bytes[at++]);
		w->len++;
		if (answer == SL_PARSE_MORE && w->len >= w->head_max) {
			w->reason = SL_REASON_HELLO_TOO_LARGE;
			answer = SL_PARSE_BAD;
		}
	}
	w->answer = (uint8_t)answer;
	*used = at;
	return answer;
}

/* ---- the host ---- */

/* RFC 3986 3.2, as HTTP uses it: a host and an optional port. */
struct authority {
	enum sl_reason reason; /* NONE: it has a host name */
	char name[SL_NAME_MAX + 1];
	uint16_t name_len;
	uint16_t port; /* 0: none */
};

/* The lines read so far. */
struct request {
	bool http_1_0;
	bool absolute; /* the target is in absolute-form, and `target` its authority */
	struct authority target, host;
	unsigned hosts, lengths, codings; /* field lines of the name */
};

static bool is_same(const struct sl_cursor *span, const uint8_t *text, size_t len)
{
	if (span->left != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = span->at[i];

		if (byte >= 'A' && byte <= 'Z')
			byte |= 0x20;
		if (byte != text[i])
			return false;
	}
	return true;
}

/* Cuts off the bytes before the first `end`, and skips that; all of them if there is none. */
static struct sl_cursor until(struct sl_cursor *c, uint8_t end)
{
	const uint8_t *found = c->left > 0 ? memchr(c->at, end, c->left) : NULL;
	struct sl_cursor span = *c;

	if (found != NULL)
		sl_cursor_span(c, (size_t)(found - c->at), &span);
	else
		sl_cursor_skip(c, c->left);
	sl_cursor_skip(c, found != NULL);
	return span;
}

/*
 * RFC 3986 3.2.3. An empty port, leading zeros and values that are not a port are read differently
 * by servers.
 */
static bool read_port(const struct sl_cursor *digits, uint16_t *port)
{
	uint32_t value = 0;

	if (digits->left == 0 || digits->left > 5 || digits->at[0] == '0')
		return false;
	for (size_t i = 0; i < digits->left; i++) {
		if (digits->at[i] < '0' || digits->at[i] > '9')
			return false;
		value = value * 10 + (digits->at[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

/*
 * Only an IP literal (RFC 3986 3.2.2) begins with a bracket. User information, lists, inner blanks
 * and percent-encoding all contain bytes that are not allowed in a host name.
 */
static void read_authority(struct sl_cursor span, struct authority *out)
{
	bool has_port = span.left > 0 && memchr(span.at, ':', span.left) != NULL;
	struct sl_cursor host;
	int len;

	out->reason = SL_REASON_NO_SERVER_NAME;
	if (span.left == 0 || span.at[0] == '[')
		return;
	host = until(&span, ':');
	if (has_port && !read_port(&span, &out->port)) {
		out->reason = SL_REASON_MALFORMED_HTTP;
		return;
	}
	if (host.left == 0)
		return;
	len = sl_hostname_normalise(host.at, host.left, out->name);
	if (len < 0) {
		out->reason = SL_REASON_MALFORMED_HTTP;
		return;
	}
	if (sl_hostname_is_address(out->name, (size_t)len))
		return;
	out->name_len = (uint16_t)len;
	out->reason = SL_REASON_NONE;
}

/*
 * RFC 9112 3.2: origin-form, absolute-form (of `http` alone, its authority ended by a slash or the
 * target's end), and the asterisk of OPTIONS. An origin-form that begins with two slashes is an
 * ordinary absolute path (RFC 9112 3.2.1). CONNECT is refused: it would open a tunnel to any host.
 */
static bool read_target(const struct sl_cursor *method, struct sl_cursor target,
                        struct request *request)
{
	struct sl_cursor scheme;

	if (is_same(method, TEXT("connect")) || target.left == 0)
		return false;
	if (target.at[0] == '/')
		return true;
	if (is_same(&target, TEXT("*")))
		return is_same(method, TEXT("options"));
	if (!sl_cursor_span(&target, strlen("http://"), &scheme) ||
	    !is_same(&scheme, TEXT("http://")))
		return false;
	request->absolute = true;
	read_authority(until(&target, '/'), &request->target);
	return true;
}

/*
 * RFC 9112 3: method, target and version, with one blank between them. The walk has checked the
 * version.
 */
static bool read_request_line(struct sl_cursor line, struct request *request)
{
	struct sl_cursor method = until(&line, ' '), target;

	if (line.left < VERSION_BYTES + 1 ||
	    !sl_cursor_span(&line, line.left - VERSION_BYTES - 1, &target))
		return false;
	request->http_1_0 = line.at[VERSION_BYTES] == '0';
	if (target.left > 0 && memchr(target.at, ' ', target.left) != NULL)
		return false;
	return read_target(&method, target, request);
}

/* RFC 9110 5.6.2. */
static bool is_token(const struct sl_cursor *span)
{
	for (size_t i = 0; i < span->left; i++) {
		uint8_t byte = span->at[i];
		bool alnum = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
		             (byte >= 'a' && byte <= 'z');

		if (!alnum && (byte == 0 || strchr("!#$%&'*+-.^_`|~", byte) == NULL))
			return false;
	}
	return span->left > 0;
}

static void trim(struct sl_cursor *span)
{
	while (span->left > 0 && span->at[0] == ' ')
		sl_cursor_skip(span, 1);
	while (span->left > 0 && span->at[span->left - 1] == ' ')
		span->left--;
}

static bool is_number(const struct sl_cursor *span)
{
	for (size_t i = 0; i < span->left; i++)
		if (span->at[i] < '0' || span->at[i] > '9')
			return false;
	return span->left > 0;
}

/*
 * RFC 9112 5: name, colon, value. No blank is allowed before the colon (5.1). Blanks around a
 * value are; a tab does not count as one in the three fields that are read here, since servers
 * differ.
 */
static bool read_field(struct sl_cursor line, struct request *request)
{
	bool has_colon = memchr(line.at, ':', line.left) != NULL;
	struct sl_cursor name = until(&line, ':');

	if (!has_colon || !is_token(&name))
		return false;
	trim(&line);
	if (is_same(&name, TEXT("host"))) {
		if (++request->hosts > 1)
			return false;
		read_authority(line, &request->host);
	} else if (is_same(&name, TEXT("content-length"))) {
		return ++request->lengths == 1 && is_number(&line);
	} else if (is_same(&name, TEXT("transfer-encoding"))) {
		return ++request->codings == 1 && is_same(&line, TEXT("chunked"));
	}
	return true;
}

static bool is_same_authority(const struct authority *a, const struct authority *b)
{
	return a->reason == b->reason && a->port == b->port && a->name_len == b->name_len &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

/*
 * RFC 9112 3.2.2 for the host. RFC 9112 6.1 and 6.3 for the body: a body that two servers in a row
 * would end at different places is request smuggling. It would gain the sandbox nothing here, since
 * what follows a judged request is not judged anyway; but no legitimate client sends it, and it
 * could attack servers of an allowed name.
 */
static enum sl_reason judge(const struct request *request)
{
	if (request->lengths + request->codings > 1 || (request->codings > 0 && request->http_1_0))
		return SL_REASON_MALFORMED_HTTP;
	if (request->absolute && request->target.reason == SL_REASON_MALFORMED_HTTP)
		return SL_REASON_MALFORMED_HTTP;
	if (request->hosts == 0)
		return SL_REASON_NO_SERVER_NAME;
	if (request->absolute && !is_same_authority(&request->target, &request->host))
		return SL_REASON_MALFORMED_HTTP;
	return request->host.reason;
}

static enum sl_reason read_lines(struct sl_cursor head, struct request *request)
{
	struct sl_cursor line = until(&head, '\r');

	if (!read_request_line(line, request))
		return SL_REASON_MALFORMED_HTTP;
	for (;;) {
		sl_cursor_skip(&head, 1); /* LF: the walk has checked it */
		line = until(&head, '\r');
		if (line.left == 0)
			return judge(request);
		if (!read_field(line, request))
			return SL_REASON_MALFORMED_HTTP;
	}
}

enum sl_parse_result sl_http_head_parse(const uint8_t *head, size_t len, struct sl_http_head *out)
{
	struct request request = {0};
	struct sl_http_walk walk;
	enum sl_parse_result answer;
	size_t used;

	*out = (struct sl_http_head){.reason = SL_REASON_NONE};
	sl_http_walk_init(&walk, UINT32_MAX);
	answer = sl_http_walk_feed(&walk, head, len, &used);
	out->reason = (enum sl_reason)walk.reason;
	if (answer != SL_PARSE_DONE)
		return answer;
	out->reason = used == len ? read_lines((struct sl_cursor){head, len}, &request)
	                          : SL_REASON_MALFORMED_HTTP;
	if (out->reason != SL_REASON_NONE)
		return SL_PARSE_BAD;
	memcpy(out->name, request.host.name, request.host.name_len + 1u);
	out->name_len = request.host.name_len;
	out->port = request.host.port;
	return SL_PARSE_DONE;
}
