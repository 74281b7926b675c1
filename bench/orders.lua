-- What wrk sends: orders of one line, spread over the 1,000 SKUs that bench/orders.py stocks. Its last line
-- of output is JSON, for bench/closed_loop.py.

local number = 0
local body = '{"customer_id":"load-customer-%d","items":[{"sku":"load-sku-%d","quantity":1,"unit_price":1000}],'
  .. '"currency":"EUR","payment":{"token":"tok_ok"}}'

wrk.method = "POST"
wrk.path = "/orders"
wrk.headers["Content-Type"] = "application/json"

function request()
  number = number + 1
  return wrk.format(nil, nil, nil, string.format(body, number % 10000, number % 1000 + 1))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"duration_us":%d,"requests":%d,"refused":%d,"failed":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.duration, summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
