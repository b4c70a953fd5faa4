/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compose.h: a push's body together with what it refers to, as a policy document. The body's nodes
 * stay what they are, so that mistakes are told at their place in what the client sent.
 */
#ifndef SLUICE_CONTROL_COMPOSE_H
#define SLUICE_CONTROL_COMPOSE_H

#include "pushes.h"

/*
 * Reads the document of a call into call->doc; call->gone and call->patch are filled in. Returns
 * 0, or -errno with the mistakes in call->diag; -ENOENT: there is no such sandbox; -EBUSY: the
 * policy is in use by the sandboxes that call->detail names. Control thread.
 */
int sl_compose(const struct sl_model *model, struct sl_push_call *call);

/* The JSON pointer (RFC 6901) of the node at this place of a body; "" if there is none. */
void sl_compose_pointer(const struct sl_yaml_doc *body, uint32_t line, uint32_t column, char *out,
                        size_t size);

#endif
