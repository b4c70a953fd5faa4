/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vlan.bpf.c: the lab's VLAN switch, as two tc programs (the kernels that the lab must run on have
 * neither VLAN devices nor VLAN-aware bridges).
 *
 * Access ports and trunks are told apart by interface index alone, so there is no map to fill: the
 * lab makes the access port of VLAN v with index BASE + v and the trunk with index BASE. VLAN 0
 * stands for "no tag": what its port sends goes onto the trunk as it is, tags of its own included,
 * and untagged frames from the trunk come out there.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* One switch for the sandboxes, one for the far side; lab/topology.py has the same numbers. */
#define BASE_STRIDE 10000
#define UNTAGGED    9000 /* index offset of the port of VLAN 0: BASE itself is the trunk */

/* Ingress of an access port: push its VLAN and send the frame out of the trunk. */
SEC("tc/access")
int access_to_trunk(struct __sk_buff *skb)
{
	__u32 base = skb->ifindex - skb->ifindex % BASE_STRIDE;
	__u32 vlan = skb->ifindex % BASE_STRIDE;

	if (vlan != UNTAGGED && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vlan))
		return TC_ACT_SHOT;
	return bpf_redirect(base, 0);
}

/* Ingress of a trunk: pop the tag and send the frame out of that VLAN's access port, if any. */
SEC("tc/trunk")
int trunk_to_access(struct __sk_buff *skb)
{
	__u32 port = UNTAGGED;

	if (skb->vlan_present) {
		port = skb->vlan_tci & 0xfff;
		if (!port || bpf_skb_vlan_pop(skb)) /* BASE + 0 would be the trunk again */
			return TC_ACT_SHOT;
	}
	return bpf_redirect(skb->ifindex + port, 0);
}

char licence[] SEC("license") = "Dual BSD/GPL";
