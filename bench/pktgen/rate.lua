-- SPDX-License-Identifier: Apache-2.0
-- Finds the highest rate that the gateway forwards without loss, in Pktgen-DPDK, for one profile of
-- pktgen.lua and each frame size: RFC 2544 section 26.1. See README.md for how to start it.
--
-- Port 0 is at the gateway's sandbox trunk, port 1 at its uplink. The environment says what to do:
--   PROFILE     established, imix, allow-all, ...           (established)
--   SIZES       frame sizes in bytes, tag and FCS included  (those of RFC 2544)
--   DIRECTIONS  both, or out: from the sandboxes only       (both)
--   MODE        search: the rate; ramp: the rate, then up to it and down again as RFC 9411 section 4.3.4
--               has it; send: RATE for the time of a trial, for refused profiles   (search)
--   RATE        per cent of line rate, for send             (100)
--   RESULT      a file for the results, a JSON object a line   (rate.json)
--   PROFILES    where pktgen.lua is                         (bench/pktgen/pktgen.lua)

local function setting(name, default)
	local value = os.getenv(name)

	return value ~= nil and value ~= "" and value or default
end

local book = dofile(setting("PROFILES", "bench/pktgen/pktgen.lua"))
local trial_of = book.trial
local name = setting("PROFILE", "established")
local profile = book.profiles[name] or error("pktgen.lua has no profile " .. name)
local both = setting("DIRECTIONS", "both") == "both"
local mode = setting("MODE", "search")
local SANDBOX, UPLINK = 0, 1
local FULL = math.floor(100 / trial_of.step + 0.5) -- line rate, in steps

-- What Pktgen calls the fields of a range.
local SETTER = {
	["src mac"] = "src_mac", ["dst mac"] = "dst_mac", ["src ip"] = "src_ip", ["dst ip"] = "dst_ip",
	["src port"] = "src_port", ["dst port"] = "dst_port", ["vlan"] = "vlan_id",
}
local PARTS = {"start", "min", "max", "inc"}

local function say(...)
	print(string.format(...))
end

-- ---- what is sent ----

local function set_range(port, fields)
	for what, four in pairs(fields) do
		for i, part in ipairs(PARTS) do
			pktgen.range[SETTER[what]](port, part, four[i])
		end
	end
	pktgen.range.ip_proto(port, "udp")
	pktgen.set_range(port, "on")
end

local function set_sequence(port, slots)
	for n, slot in ipairs(slots) do
		pktgen.seq(n - 1, port, table.unpack(slot))
	end
	pktgen.set(port, "seq_cnt", #slots)
end

local function set_up()
	for port = SANDBOX, UPLINK do
		local text = tostring(port)

		pktgen.stop(text)
		pktgen.set(text, "count", 0)
		if profile.mixed then
			set_sequence(text, profile[port])
		else
			set_range(text, profile[port])
		end
		pktgen.vlan(text, "on")
	end
end

local function set_size(size)
	for port = SANDBOX, UPLINK do
		for i, part in ipairs(PARTS) do
			pktgen.range.pkt_size(tostring(port), part, i < 4 and size or 0)
		end
	end
end

-- ---- one trial ----

-- Frames sent and received by a port since the counters were cleared. Pktgen of 2024 and before wants a
-- second argument and has the counters in the table itself, later ones do neither.
local function counters(port)
	local ok, all = pcall(pktgen.portStats, tostring(port), "port")

	if not ok then
		all = pktgen.portStats(tostring(port))
	end
	all = all[port].curr or all[port]
	return all.opackets, all.ipackets
end

local function ports(out_only)
	return both and not out_only and "0,1" or "0"
end

local function send(rate, seconds, out_only)
	pktgen.set("0,1", "rate", rate)
	pktgen.start(ports(out_only))
	pktgen.delay(math.floor(seconds * 1000))
end

local function finish()
	pktgen.stop("0,1")
	pktgen.delay(trial_of.residue_seconds * 1000)
end

local function result_of(rate, seconds)
	local sent_out, received_back = counters(SANDBOX)
	local sent_back, received_out = counters(UPLINK)

	if not both then
		sent_back, received_back = 0, 0
	end
	return {
		rate = rate, seconds = seconds, sent = sent_out + sent_back,
		received = received_out + received_back,
		-- each direction for itself: what one has too much does not make up for the other's loss
		good = sent_out > 0 and received_out == sent_out and received_back == sent_back,
	}
end

local function trial(steps, seconds)
	local rate = steps * trial_of.step

	pktgen.clr()
	send(rate, seconds)
	finish()
	local result = result_of(rate, seconds)
	say("  %5.1f %% for %d s: %d sent, %d received%s", rate, seconds, result.sent, result.received,
		result.good and "" or ", LOSS")
	pktgen.delay(trial_of.rest_seconds * 1000)
	return result
end

-- Opens every flow from the inside: what comes from outside without one is refused.
local function prime()
	send(trial_of.prime_rate, trial_of.prime_seconds, true)
	finish()
end

-- ---- the search ----

-- The highest rate, in steps, at which short trials lose nothing: line rate first, then by halves.
local function search()
	local good, bad = 0, FULL

	if trial(FULL, trial_of.search_seconds).good then
		return FULL
	end
	while bad - good > 1 do
		local middle = (good + bad) // 2

		if trial(middle, trial_of.search_seconds).good then
			good = middle
		else
			bad = middle
		end
	end
	return good
end

-- The highest rate that stands a whole trial, not above that: a per cent lower after each that does not.
local function confirm(steps)
	while steps > 0 do
		local result = trial(steps, trial_of.seconds)

		if result.good then
			return result, steps
		end
		steps = math.min(steps - 1, steps * 99 // 100)
	end
	return nil
end

-- Up to the rate in equal steps, stay there, down again; one count for all of it.
local function ramp(steps)
	local parts = trial_of.ramp_steps
	local top = steps * trial_of.step

	pktgen.clr()
	for i = 1, parts do
		send(top * i / parts, trial_of.ramp_seconds)
	end
	send(top, trial_of.sustain_seconds)
	for i = parts - 1, 1, -1 do
		send(top * i / parts, trial_of.ramp_seconds)
	end
	finish()
	return result_of(top, (2 * parts - 1) * trial_of.ramp_seconds + trial_of.sustain_seconds)
end

-- ---- the report ----

local function link_mbits()
	local state = pktgen.linkState("0")[SANDBOX] or ""

	return tonumber(state:match("(%d%d%d+)"))
end

-- What a direction could carry, in millions of frames a second: 20 bytes of gap and preamble each.
local function line_mpps(size)
	local mbits = link_mbits()

	return mbits and mbits / ((size + 20) * 8)
end

local function report(what, size, result)
	local mpps = result.sent / result.seconds / 1e6
	local line = line_mpps(size)
	local asked = line and line * result.rate / 100 * (both and 2 or 1)
	local file = assert(io.open(setting("RESULT", "rate.json"), "a"))

	say("%s, %s, %s bytes: %.1f %% of line rate, %.3f Mpps %s, %d of %d frames lost", name, what, size,
		result.rate, mpps, both and "in both directions together" or "out", result.sent - result.received,
		result.sent)
	if what ~= "ramp" and asked and mpps < 0.99 * asked then
		say("  the generator sent less than the %.3f Mpps that it was asked for: it is the limit", asked)
	end
	file:write(string.format('{"profile": "%s", "what": "%s", "size": %s, "directions": "%s", "rate": %.1f, ' ..
		'"seconds": %d, "sent": %d, "received": %d, "mpps": %.4f, "asked_mpps": %s}\n', name, what, size,
		both and "both" or "out", result.rate, result.seconds, result.sent, result.received, mpps,
		asked and string.format("%.4f", asked) or "null"))
	file:close()
end

local function measure(size)
	prime()
	local result, steps = confirm(search())

	if result == nil then
		say("%s, %s bytes: frames are lost at every rate; see the gateway's reasons", name, size)
		return
	end
	report("throughput", size, result)
	if mode == "ramp" then
		report("ramp", size, ramp(steps))
	end
end

local function send_once(size)
	local rate = tonumber(setting("RATE", "100"))

	pktgen.clr()
	send(rate, trial_of.seconds)
	finish()
	report("send", size, result_of(rate, trial_of.seconds))
end

local function main()
	assert(mode == "search" or mode == "ramp" or mode == "send", "MODE is search, ramp or send")
	local run = mode == "send" and send_once or measure

	say("%s: %s", name, profile.says)
	set_up()
	if profile.mixed then
		return run(profile.mixed)
	end
	for size in setting("SIZES", table.concat(book.sizes, " ")):gmatch("%d+") do
		set_size(tonumber(size))
		run(tonumber(size))
	end
end

main()
