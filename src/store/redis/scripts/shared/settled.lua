-- Shared by every script, between shared/members.lua and shared/leases.lua: which holders may still act on a lease that was granted
-- before this server process first wrote, or before the data set began.
--
-- Strangers are the presences that were subscribed on this process at that moment: FLUSHALL, and loading a copy into a running
-- process, break no connection. Any holder that still gets answers to its pings is among them, since it subscribed before. A presence
-- stops being a stranger when a lease is bound to it again, when it belongs to a member, or when it requests a lease and names this
-- process and data set, which it has seen since (it makes no request while any process of its command is left). If a release that
-- records no strangers wrote the data, or an ACL forbids PUBSUB CHANNELS, there are assumed to be some.

-- The data set and server process for which strangers were recorded.
local function noted()
  return meta.epoch .. ' ' .. run_id()
end

note_strangers = function()
  local place = PREFIX .. 'strangers'
  call('DEL', place)
  local before = #presence_channel('')
  local channels = redis.pcall('PUBSUB', 'CHANNELS', (string.gsub(presence_channel(''), '[%*%?%[%]%^\\]', '\\%0')) .. '*')
  if channels.err then
    channels = { presence_channel('?') }
  end
  for _, channel in ipairs(channels) do
    call('SADD', place, string.sub(channel, before + 1))
  end
  call('PEXPIRE', place, 172800000)
  meta.noted = noted()
  call('HSET', META, 'noted', meta.noted)
end

-- Removes a presence from the strangers.
local function is_known(nonce)
  call('SREM', PREFIX .. 'strangers', nonce)
end

-- The longest known TTL; with strangers, whose TTL is unknown, at least the leader's lease or its default.
local function longest_ttl(ttl, stranger)
  local longest = meta.longest > 0 and meta.longest or meta.lease
  return math.max(ttl, longest, stranger and (meta.lease > 0 and meta.lease or 30000) or 0)
end

-- For how many ms this server process and data set must still run until every holder from before them has stopped; `seen` is how
-- long the caller has observed both. Also returns whether the wait is long only because of strangers.
local function unsettled(ttl, grace, seen)
  local served = math.max(cluster_now() - meta.settled_at - half_ttl(), seen)
  local function missing(wait)
    return math.max(0, wait + math.ceil(wait / 20) - served)
  end
  local strange = math.max(grace, longest_ttl(ttl, true))
  if missing(strange) == 0 then
    return 0, false
  elseif is_promoted() then
    return missing(math.max(grace, longest_ttl(ttl, false))), false
  elseif meta.noted ~= noted() or call('EXISTS', PREFIX .. 'strangers') == 1 then
    return missing(strange), true
  end
  return missing(grace), false
end
