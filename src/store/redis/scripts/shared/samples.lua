-- Recent history: each node's newest heartbeats in a stream of its own. Follows the preludes of members/tick.lua and members/record.lua.
--
-- It is bounded by the number of entries, by an expiry that every write extends, and by the zset of nodes, which a node leaves
-- together with its stream. A node that died or was renamed stays readable for its window.
local HISTORIES = PREFIX .. 'histories'

-- Takes the samples of ARGV from `first` on: window in ms ('0': no history is kept), most entries of a stream, then for each
-- sample its node id, its entry id `<at, server time>-<number>` and its text. An id that is not above the stream's last one
-- was recorded already. What cannot be written is skipped, because history must never fail a heartbeat; the first error is
-- returned. An entry that lies further ahead of the server's time than a window (at least an hour) is foreign, or was written
-- before the server's clock was set back: no heartbeat could be written after it, so the stream is rewritten without it.
local function keep_samples(first)
  local window, most = ARGV[first], ARGV[first + 1]
  local touched, failed, looked = {}, nil, {}
  local function attempt(...)
    local outcome = redis.pcall(...)
    if type(outcome) ~= 'table' or not outcome.err then
      return true
    end
    if not string.find(outcome.err, 'equal or smaller', 1, true) and not string.find(outcome.err, 'exhausted', 1, true) then
      failed = failed or outcome.err
    end
  end
  if window == '0' then
    return nil
  end
  local function remove_far(key)
    local last = int(now + math.max(tonumber(window), 3600000)) .. '-0'
    local far = redis.pcall('XRANGE', key, last, '+', 'COUNT', 1)
    if far.err or #far == 0 then
      return false
    end
    local kept = redis.call('XREVRANGE', key, last, '-', 'COUNT', most)
    redis.call('DEL', key)
    for n = #kept, 1, -1 do
      if #kept[n][2] <= 100 then
        attempt('XADD', key, kept[n][1], unpack(kept[n][2]))
      end
    end
    return true
  end
  for at = first + 2, #ARGV, 3 do
    local key = PREFIX .. 'history:' .. ARGV[at]
    local function add()
      return attempt('XADD', key, 'MAXLEN', '~', most, ARGV[at + 1], 's', ARGV[at + 2])
    end
    local added = add()
    if not added and not looked[key] then
      looked[key] = true
      added = remove_far(key) and add()
    end
    if added then
      touched[ARGV[at]] = key
    end
  end
  for node, key in pairs(touched) do
    attempt('PEXPIRE', key, window)
    attempt('ZADD', HISTORIES, int(now + tonumber(window)), node)
  end
  if next(touched) then
    attempt('ZREMRANGEBYSCORE', HISTORIES, '-inf', '(' .. int(now))
  end
  return failed
end
