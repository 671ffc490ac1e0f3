-- tick: one heartbeat. Refreshes the member's deadline, ends overdue members and leases, renews the leader's lease, and returns
-- the news.
--
-- ARGV: node id, incarnation, epoch of the view, version of the view, known token, known event seq, known
--   message seq, fresh epoch, term to renew (0: none), nonce of this renewal, leads at this instant (1|0),
--   presence nonce, acknowledged message seq or '', floor of the view, jitter (thousandths), version of the settings
--   that the caller knows, those settings, what the holder of the term follows from this renewal on ("<grace> <lease> <mode>
--   <stated at>"), the last statement about itself that the caller knows to be in its row, and the caller's earlier beats
--   for the history (see shared/samples.lua)
-- Returns: [status, now, numbers, lease ('none'|'renewed'|'lost'), leader, delta, beats, ms to the next deadline of a
--   member, a lease or a task, members alive, the caller's row is older than its last statement (1|0), Redis is full (1|0)];
--   status is one of identify()'s.
-- Atomic, because a renewal must see the record that it renews, and because the stall guard must move every deadline
-- before the first one is judged. Costs the same with 10 and 10,000 members.
local id, incarnation, epoch, version = ARGV.node_id, ARGV.incarnation, ARGV.epoch, tonumber(ARGV.version)
-- How long strangers may matter after the data set began: longer than any lease.
local STRANGE = 90000000
local term, nonce, leads, presence = ARGV.renew, ARGV.nonce, ARGV.leads == '1', ARGV.presence

-- A leader's presence is written only by the server process on which it is subscribed, with that process's run_id, and a nonce is
-- only ever used for one connection to one process. So if it is subscribed here, the run_id is known without INFO, whose text is long.
-- Nothing below changes the leader's record before it is used.
local leader = read_leader()
local leader_there = leader and leader.presence ~= '' and subscribers(presence_channel(leader.presence)) or 0
if leader_there > 0 and leader.run_id ~= '' then
  own_run_id = leader.run_id
end

local full = is_full()
make_way()
open(ARGV.known_token, ARGV.known_event, ARGV.known_message, ARGV.fresh_epoch)
take_settings(ARGV.settings_version, ARGV.settings)
guard_stall()

local status, row = identify(id, incarnation, '')
local outdated = status == 'ok' and number(row.v, 0) < number(ARGV.revision, 0) and 1 or 0
local lease = 'none'
if status == 'ok' then
  call('ZADD', BEATS, cluster_now() + meta.ttl, id)
  if ARGV.acknowledged ~= '' and epoch == meta.epoch and tonumber(ARGV.acknowledged) > number(call('HGET', CURSORS, id), 0) then
    call('HSET', CURSORS, id, ARGV.acknowledged)
    call('ZADD', ACKS, ARGV.acknowledged, id)
  end
end

if status == 'ok' then
  mend(id, presence)
  if presence ~= '' and cluster_now() - meta.settled_at < STRANGE then
    is_known(presence)
  end
end

if full then
  -- So that acknowledgements alone free a full Redis, even if no node sends.
  trim_acknowledged()
end

-- One read of the members with the earliest deadlines shows whether one is late and when the next one is due, and is the reply.
local beats = beats_reply(32)
local first = beats[2][2] and tonumber(beats[2][2])
if first and first < cluster_now() then
  for _, late in ipairs(call('ZRANGEBYSCORE', BEATS, '-inf', '(' .. int(cluster_now()), 'LIMIT', 0, 16)) do
    local other = read_row(late)
    if other then
      end_life(late, other, 'offline', 'heartbeat_timeout')
    else
      call('ZREM', BEATS, late)
    end
  end
  beats = beats_reply(32)
  first = beats[2][2] and tonumber(beats[2][2])
end

-- A member that was away for seven days is removed, with its cursor.
for _, gone in ipairs(call('ZRANGEBYSCORE', AWAY, '-inf', cluster_now() - 604800000, 'LIMIT', 0, 4)) do
  remove_member(gone, read_row(gone))
end

local next_lease = sweep_leases()
local next_ready, next_overdue
if call('EXISTS', PREFIX .. 'held:' .. id, PREFIX .. 'blocked', unpack(KEYS, 14, 19)) > 0 or meta.open_lanes > 0 or meta.has_delayed or meta.ended ~= ''
  or meta.walk_at ~= '' then
  next_ready, next_overdue = look_at_tasks(16, tonumber(ARGV.jitter), id)
end

if ARGV[ARGV.samples.first] then
  keep_samples()
end

if term ~= '0' then
  local grace, ttl, mode, at = string.match(ARGV.promise, '^(%d+) (%d+) (%a+) (%d+)$')
  grace, ttl, at = tonumber(grace), tonumber(ttl), tonumber(at)
  local held = status == 'ok' and leader and leader.holder == id and leader.incarnation == incarnation and leader.term == term
  if held and leader.run_id ~= run_id() then
    -- Granted on another server process, whose last writes may be lost: a later term may have been granted to another node.
    -- Only a holder that leads at this instant by its own clock knows that none was. Behind sentinels and on a Redis Cluster a failover
    -- outlasts the grace, and the wait for a whole lease would follow each: there the record's holder goes on. With
    -- redis.wait_replicas: all no term was led that this server does not have; with less, see docs/redis.md.
    held = leads or GUARDED
    if held then
      leader.run_id, leader.presence, leader_there = run_id(), '', 0
      call('HMSET', LEADER, 'run_id', leader.run_id, 'presence', '')
    end
  end
  if held then
    state(leader, grace, ttl, mode, at)
    leader.expires, leader.nonce = cluster_now() + leader.ttl, nonce
    call('HMSET', LEADER, 'expires', leader.expires, 'nonce', nonce, 'grace', leader.grace, 'ttl', leader.ttl, 'mode', leader.mode)
    lease = 'renewed'
  elseif status == 'ok' and not leader and leads and presence ~= '' and subscribers(presence_channel(presence)) > 0 then
    -- The record was lost with the data, but the leader still leads: no other node can have been granted a term, because
    -- candidates wait for the leader channel to be free, and this connection holds it.
    leader = { holder = id, incarnation = incarnation, term = term, expires = cluster_now() + ttl, nonce = nonce, presence = presence,
      run_id = run_id(), previous = '', ticket = '', mode = '' }
    state(leader, grace, ttl, mode, at)
    write_record('leader', leader)
    leader = read_leader()
    leader_there = subscribers(presence_channel(presence))
    lease = 'renewed'
  else
    lease = 'lost'
  end
end

local due = first and math.max(0, first - cluster_now()) or meta.ttl
for _, at in ipairs({ next_lease or false, next_ready or false, next_overdue or false }) do
  due = at and math.max(0, math.min(due, at - cluster_now())) or due
end
return { status, whole(now), numbers_reply(), lease, leader_reply(leader, leader_there), delta_reply(version, tonumber(ARGV.floor), epoch, 128),
  beats, whole(due), call('ZCARD', BEATS), outdated, full and 1 or 0 }
