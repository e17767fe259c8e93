-- One inference request, over and over:  wrk -s infer.lua URL -- BODY_FILE 'NAME: VALUE'...
-- The last line of the output is the result as JSON; times are in microseconds.

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  for index = 2, #args do
    local name, value = args[index]:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
  file:close()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "duration": %d, "p50": %.1f, "p99": %.1f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
