/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cppcheck_macros.h: macros of libraries that cppcheck has to know, since it does not read their
 * headers. The compiler never sees this file.
 */
#define json_array_foreach(array, index, value)                                                    \
	for (index = 0; (value = json_array_get(array, index)) != NULL; index++)
#define json_object_foreach(object, key, value)                                                    \
	for (key = ""; (value = json_object_get(object, key)) != NULL;)
