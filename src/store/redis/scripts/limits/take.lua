-- permits_take: takes permits from a token bucket, now or for a later time.
--
-- ARGV: node id, incarnation, name, permits, rate, per (ms), burst, wait (ms), request id or ''
-- Returns: [status, outcome ('granted'|'refused'|'overloaded'), valid at (server time) if granted, ms until then or until there
--   are enough, permits left]
-- Atomic, because two callers must not take the same permits.
--
-- The bucket is `bucket:<name>`: level (permits; negative while callers wait), at (cluster time of the level), rate, per (ms). It fills
-- by `rate` permits in `per` ms up to `burst`. A caller that is willing to wait takes its permits at once and leaves the level negative:
-- they are valid once the level would be 0 again. So callers are served in the order in which they asked, in one call each, and the
-- permits of a caller that goes away meanwhile are lost to others, which keeps the rate. Cluster time does not go back, does not
-- follow jumps of the server's clock, and stands still in an outage, which only makes a bucket fill later.
-- Callers may bring different limits for one name, for example while a setting changes. The time since the last call counts at the slower
-- of both rates, so that the rate of neither is exceeded; that call's limits count from then on.
local id, name, request = ARGV.node_id, ARGV.name, ARGV.request_id
local permits, rate, per, burst = tonumber(ARGV.permits), tonumber(ARGV.rate), tonumber(ARGV.per), tonumber(ARGV.burst)
local BUCKETS, MOST = PREFIX .. 'buckets', 10000
load_meta()
guard_stall()
local status = identify(id, ARGV.incarnation, '')
if status ~= 'ok' then
  return { status, 'refused', 0, 0, 0 }
end
local key, time = PREFIX .. 'bucket:' .. name, cluster_now()
local v = try('HMGET', key, 'level', 'at', 'rate', 'per')
if not v then
  call('DEL', key)
  v = {}
end
local level, at = number(v[1], nil), number(v[2], nil)
local known_rate, known_per = number(v[3], 0), number(v[4], 0)
if level and at and known_rate > 0 and known_per > 0 then
  local passed, added = math.max(0, time - at), nil
  if known_rate * per < rate * known_per then
    added = passed * known_rate / known_per
  else
    added = passed * rate / per
  end
  level = math.min(burst, level + added)
else
  -- A bucket that is full is as good as none: a new one takes its place.
  local full = try('ZRANGEBYSCORE', BUCKETS, '-inf', int(time), 'LIMIT', 0, 10) or {}
  if #full == 0 and number(try('ZCARD', BUCKETS), 0) >= MOST then
    return { status, 'overloaded', 0, 0, 0 }
  end
  for _, old in ipairs(full) do
    call('DEL', PREFIX .. 'bucket:' .. old)
    call('ZREM', BUCKETS, old)
  end
  level = burst
end

local function left()
  return int(math.max(0, math.floor(level)))
end

local request_key = PREFIX .. 'permitted:' .. id .. ' ' .. name .. ' ' .. request
if request ~= '' then
  local valid = number(try('GET', request_key), nil)
  if valid then
    return { status, 'granted', int(valid + meta.skew), int(math.max(0, valid - time)), left() }
  end
end

local wait = math.max(0, math.ceil((permits - level) * per / rate))
local taken = wait <= tonumber(ARGV.wait)
if taken then
  level = level - permits
end
if taken or known_rate ~= rate or known_per ~= per then
  -- Rounded down, so that no fraction of a permit is won.
  local stored = string.format('%.6f', math.floor(level * 1e6) / 1e6)
  local full_in = math.ceil((burst - level) * per / rate)
  call('HMSET', key, 'level', stored, 'at', int(time), 'rate', ARGV.rate, 'per', ARGV.per)
  -- For one that `buckets` lost; so long that no jump of the server's clock ends it.
  call('PEXPIRE', key, int(full_in + 2678400000))
  if not try('ZADD', BUCKETS, int(time + full_in), name) then
    call('DEL', BUCKETS)
    call('ZADD', BUCKETS, int(time + full_in), name)
  end
end
if not taken then
  return { status, 'refused', 0, int(wait), left() }
end
if request ~= '' then
  call('SET', request_key, int(time + wait), 'PX', int(3600000 + wait))
end
return { status, 'granted', int(time + wait + meta.skew), int(wait), left() }
