-- SPDX-License-Identifier: Apache-2.0
-- Pktgen-DPDK's Lua functions as far as rate.lua uses them, in front of a gateway that loses frames above
-- a rate. Each call is checked as Pktgen checks it, and a name that Pktgen has not ends the program. Time
-- passes in delay() alone. Prints what was asked for, a line each, to standard error.
--
-- LIMIT: per cent above which frames are lost; LATE: the same for trials of a minute and more;
-- BACK: the same for frames from the uplink; NEW: the counters as Pktgen has them since 2025.

local LINE_PPS = 1000000
local limit = tonumber(os.getenv("LIMIT") or "1000")
local late = tonumber(os.getenv("LATE") or "1000")
local back = tonumber(os.getenv("BACK") or "1000")
local new = os.getenv("NEW") ~= nil

local port = {[0] = {rate = 100}, [1] = {rate = 100}}

local function clear()
	for _, one in pairs(port) do
		one.opackets, one.ipackets = 0, 0
	end
end

local function each(list, what)
	assert(type(list) == "string", "a list of ports is a string")
	for number in list:gmatch("%d") do
		what(port[tonumber(number)], tonumber(number))
	end
end

local function tell(...)
	io.stderr:write(table.concat({...}, " "), "\n")
end

local function call(name, count)
	return function(...)
		assert(select("#", ...) == count, name .. ": wrong number of arguments")
		for _, value in ipairs({...}) do
			assert(type(value) == "string" or type(value) == "number", name)
		end
		tell(name, ...)
	end
end

-- What a direction loses of what it sent since its start.
local function lost(from, sent)
	local most = math.min(limit, sent.seconds >= 60 and late or 1000, from == 1 and back or 1000)

	return sent.top > most + 1e-6 and 1 + sent.frames // 1000 or 0
end

local function end_of(one, number)
	local sent = one.sent

	if sent ~= nil then
		sent.frames = math.floor(sent.frames + 0.5)
		one.opackets = one.opackets + sent.frames
		port[1 - number].ipackets = port[1 - number].ipackets + sent.frames - lost(number, sent)
	end
	one.sent = nil
end

local functions = {
	clr = clear,
	vlan = call("vlan", 2), set_range = call("set_range", 2), seq = call("seq", 12),
	start = function(list)
		each(list, function(one) one.sent = one.sent or {frames = 0, seconds = 0, top = 0} end)
		tell("start", list)
	end,
	stop = function(list)
		each(list, end_of)
		tell("stop", list)
	end,
	delay = function(ms)
		assert(math.type(ms) == "integer", "a delay is an integer")
		each("0,1", function(one)
			if one.sent ~= nil then
				one.sent.frames = one.sent.frames + ms / 1000 * one.rate / 100 * LINE_PPS
				one.sent.seconds = one.sent.seconds + ms / 1000
				one.sent.top = math.max(one.sent.top, one.rate)
			end
		end)
		tell("delay", ms)
	end,
	set = function(list, what, value)
		assert(({count = 1, rate = 1, seq_cnt = 1})[what], what)
		if what == "rate" then
			each(list, function(one) one.rate = tonumber(value) end)
		end
		tell("set", list, what, value)
	end,
	linkState = function()
		return {[0] = "<UP-1000-FD>", n = 1}
	end,
	portStats = function(list, kind)
		local number = tonumber(list)

		assert((kind == nil) == new, "portStats, wrong number of arguments")
		return {[number] = new and {curr = port[number]} or port[number], n = 1}
	end,
}

local ranges = {}
for _, name in ipairs({"src_mac", "dst_mac", "src_ip", "dst_ip", "src_port", "dst_port", "vlan_id", "pkt_size"}) do
	ranges[name] = call("range." .. name, 3)
end
ranges.ip_proto = call("range.ip_proto", 2)

local strict = {__index = function(_, name) error("Pktgen has no function " .. name) end}
functions.range = setmetatable(ranges, strict)
clear()
pktgen = setmetatable(functions, strict)
