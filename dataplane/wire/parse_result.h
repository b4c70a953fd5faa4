/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * parse_result.h: the four results of a parser that reads streams. Every caller handles all four;
 * only SL_PARSE_DONE may ever lead to a packet being let out.
 */
#ifndef SLUICE_WIRE_PARSE_RESULT_H
#define SLUICE_WIRE_PARSE_RESULT_H

enum sl_parse_result {
	SL_PARSE_BAD = 0,  /* breaks the format */
	SL_PARSE_MORE,     /* well-formed so far, not complete */
	SL_PARSE_NOT_MINE, /* another protocol than this parser's */
	SL_PARSE_DONE,     /* complete, the result is filled in */
};

#endif
