-- SPDX-License-Identifier: MIT
-- Requests for wrk, and what it measured in one line. wrk ... -s load.lua URL -- hello|echo

local bodies = { hello = { 13 }, echo = { 16384, 32768, 49152, 65536 } }
local requests, at = {}, 0

function init(arguments)
    local sizes = bodies[arguments[1]] or error("hello or echo is wanted")
    for i, size in ipairs(sizes) do
        requests[i] = wrk.format("POST", "/echo", nil, string.rep("x", size))
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("load requests=%d us=%d failed=%d p50_us=%d p99_us=%d p999_us=%d\n", summary.requests,
        summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
