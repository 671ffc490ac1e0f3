-- Shared opening of every script; it is put in front of each of them, and shared/members.lua, shared/settled.lua and shared/leases.lua behind it.
--
-- KEYS (all in one hash slot, the same list for every script; leases/once.lua gets its own behind them):
--   1 meta       hash    epoch, run_id (the last server process that wrote), version, floor, token, event_seq, message_seq, event_start, message_start,
--                        last_tick, skew, stalled_at (ms), settled_at (cluster time at which this server process first wrote, or
--                        the data set began), longest (TTL that a presence was granted, ms), message_lift (behind which the next message
--                        gets its number, where the newest may be lost: 0 or lower than message_seq where not), lift_from and lift_to (between
--                        which nothing was numbered the last time), lifts ("<from>-<to> ...": the 16 times before that in this data set), noted and doubt (see shared/settled.lua),
--                        trimmed, task_seq, lane_seq; the settings of the cluster: interval, ttl, lease,
--                        grace (ms), mode ('exclusive' or 'fenced'), and settings (their version, see take_settings); and what members/repair.lua
--                        and tasks/repair.lua notice losses by: mend_at, mended, open_lanes, lane_at, has_delayed, ended, walk_at,
--                        memory ("<asked, server time> <maxmemory>"), task_bytes, bytes_at, jumps (of the clock, see leases/once.lua), stuck ("<member> <its cursor> <cluster time>", while the stream is full)
--   2 members    hash    node id -> row, a JSON object of texts (see Row below)
--   3 beats      zset    live node id -> deadline in cluster time
--   4 changes    zset    node id -> version of its last change
--   5 lease:leader hash  the leader's record
--   6 events     stream  <event seq>-0
--   7 messages   stream  <seq of the entry's last message>-0
--   8 presence   hash    node id -> "<nonce> <run_id>"
--   9 acks       zset    node id -> acknowledged message seq, of members whose backlog is kept
--  10 cursors    hash    node id -> acknowledged message seq
--  11 producers  hash    producer -> "<producer seq> <message seq>" of its last accepted call
--  12 away       zset    node id -> cluster time at which it left
--  13 leases     zset    lease name -> cluster time at which it is over, or an offer of it to a waiter
--  14 running    zset    task id -> cluster time at which it is taken from its worker
--  15 delayed    zset    task id -> cluster time at which it is ready at the latest
--  16 done       list    "<cluster time> <task id>" of done tasks, oldest first
--  17 lanes      hash    "<kind> <requirements>" -> number of the lane that holds such ready tasks
--  18 failed     zset    task id -> cluster time at which it failed for good, or was cancelled
--  19 dead       zset    task id -> cluster time at which its last attempt failed
-- Keys that scripts name themselves, by the same prefix:
--   sizes             list    how many bytes the stream of messages holds (see messages/trim.lua)
--   sent              hash    producer -> bytes of it
--   strangers         set    nonces of presences that stood here when this server process or data set began (see shared/settled.lua)
--   lease:<name>      hash    a lease's record (see shared/leases.lua); a vacant one for which nobody waits is forgotten after a day
--   queue:<name>      zset    "<ticket> <node> <incarnation> <presence or -> <grace>" of a waiter -> its place
--   owned:<node id>   set     names of leases that were granted to this node id; the records decide
--   request:<node id> <name> <request id>   string   "<token> <expires at, server time>" of the first grant
--   once:<key>        string  "<node id> <at, server time> <request id>\30<ttl, ms>", kept for longer than that (see leases/once.lua)
--   withdrawn:<ticket of an acquisition, or nonce of a claim>   string   it was given up without an answer (see leases/withdraw.lua)
--   withdrawn:<node id> <request id>    string   "<incarnation> <number>" of the last call of leases/once.lua that was
--   task:<id>         hash    a task (see tasks/shared.lua)
--   scheduled         zset    id of a delayed task -> server time at which it is ready (see tasks/shared.lua)
--   task_bytes        hash    task id -> bytes that it takes; their sum is meta.task_bytes (see tasks/shared.lua)
--   lane:<number>     zset    ready task id -> minus priority times 10^12, plus its place in the order of submission
--   held:<node id>    set     ids of tasks that run there
--   claimed:<node id> hash    kinds -> the node's last claim of them (see tasks/claim.lua)
--   history:<node id> stream  <at, server time>-<number of the beat> -> s, the sample's text; ends with its window (see shared/samples.lua)
--   histories         zset    node id -> server time at which its history ends
--   announced         set     kinds whose ready tasks were told of since a claim of them came back short
--
-- Cluster time is the server's clock minus `skew`: it stands still while no tick reached the server and does not follow
-- jumps of the clock, so that a silence of Redis never makes a live node late. It is the clock of liveness: of deadlines, leases, and of
-- what a worker has time for. Schedules go by the server's own clock: what must wait for a time (delays and pauses of tasks) or is
-- forgotten after one (`once` keys, requests, vacant records). Numbers above 2^31 are kept as texts and
-- written with %.0f, because Lua and cjson would round their decimal form.
local META, MEMBERS, BEATS, CHANGES, LEADER, EVENTS, MESSAGES, PRESENCE, ACKS, CURSORS, PRODUCERS, AWAY, LEASES = unpack(KEYS, 1, 13)
local FIXED_KEYS = 19
local PREFIX = string.sub(META, 1, -5)
local call = redis.call

-- Replicas get what a script wrote, not the script, which asks for the time. Needed only where an old server says otherwise.
if redis.replicate_commands then
  redis.replicate_commands()
end

local function int(number)
  return string.format('%.0f', number)
end

-- A number as a reply: an integer, which costs a third of a text, unless it is none that Redis could make an integer of.
local function whole(number)
  return number > -9e15 and number < 9e15 and number or int(number)
end

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = clock[1] * 1000000 + clock[2]

-- The identity of this server process; a copy of the data on another server has another one.
local own_run_id
local function run_id()
  own_run_id = own_run_id or string.match(call('INFO', 'server'), 'run_id:(%w+)') or ''
  return own_run_id
end

-- Whether this server was a replica before it took writes: then another one may live that was its primary.
local function is_promoted()
  local second = string.match(call('INFO', 'replication'), 'master_replid2:(%w+)') or ''
  return string.find(second, '[^0]') ~= nil
end

local function presence_channel(nonce)
  return PREFIX .. 'presence:' .. nonce
end

local function subscribers(channel)
  return call('PUBSUB', 'NUMSUB', channel)[2]
end

local function number(value, otherwise)
  return tonumber(value or false) or otherwise
end

-- A full Redis refuses a script's first write when that may need memory, and no write behind one that needs none (tried on
-- 5.0, 7.0 and Valkey 9). What keeps a cluster a cluster needs little, so it makes way for itself: beats, elections,
-- acknowledgements, and whatever frees memory.
local function make_way()
  call('HDEL', META, '')
end

-- Whether Redis is full; to be asked before the first write. It writes nothing.
local function is_full()
  local refused = redis.pcall('SET', PREFIX .. 'full', '', 'XX')
  return type(refused) == 'table' and refused.err ~= nil and string.find(refused.err, 'OOM', 1, true) ~= nil
end

-- Opens the data set. An empty one, or one that knows less than the caller (a stale copy), begins a new epoch whose
-- numbers lie above everything that anyone has seen.
local meta
local function load_meta()
  local v = call('HMGET', META, 'epoch', 'version', 'floor', 'token', 'event_seq', 'message_seq', 'event_start',
    'message_start', 'interval', 'ttl', 'lease', 'last_tick', 'skew', 'stalled_at', 'run_id', 'settled_at',
    'open_lanes', 'has_delayed', 'ended', 'walk_at', 'grace', 'mode', 'settings', 'longest', 'noted', 'doubt',
    'message_lift', 'lift_from', 'lift_to')
  meta = {
    epoch = v[1] or '', version = number(v[2], 0), floor = number(v[3], 0), token = number(v[4], 0),
    event_seq = number(v[5], 0), message_seq = number(v[6], 0), event_start = number(v[7], 0),
    message_start = number(v[8], 0), interval = number(v[9], 0), ttl = number(v[10], 0), lease = number(v[11], 0),
    last_tick = number(v[12], now), skew = number(v[13], 0), stalled_at = number(v[14], 0),
    run_id = v[15] or '', settled_at = number(v[16], 0), open_lanes = number(v[17], 0), has_delayed = v[18],
    ended = v[19] or '', walk_at = v[20] or '', grace = number(v[21], 0), mode = v[22] or '', settings = number(v[23], 0),
    longest = number(v[24], 0), noted = v[25] or '', doubt = v[26] or '',
    message_lift = number(v[27], 0), lift_from = number(v[28], 0), lift_to = number(v[29], 0),
  }
end

-- Settings of the cluster as a caller brings them: "<interval> <ttl> <lease> <grace> <mode>", times in ms.
local function write_settings(version, text)
  local interval, ttl, lease, grace, mode = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%a+)$')
  meta.settings, meta.interval, meta.ttl, meta.lease = version, tonumber(interval), tonumber(ttl), tonumber(lease)
  meta.grace, meta.mode = tonumber(grace), mode
  call('HMSET', META, 'settings', int(version), 'interval', interval, 'ttl', ttl, 'lease', lease, 'grace', grace, 'mode', mode)
end

-- Takes the settings that the caller knows where they are newer than those of the data set. Version 0: out of a node's own
-- file, never confirmed; the first term that is granted makes them version 1, `config push` more. So after a loss of data the
-- node that is back first cannot shorten what a living leader follows: whoever knew the settings brings them with its next
-- tick, and their version is higher. A data set of the version before has no grace and no mode: they are filled in.
local function take_settings(version, text)
  version = tonumber(version)
  if version > meta.settings or meta.interval == 0 then
    write_settings(math.max(version, meta.settings), text)
  elseif meta.grace == 0 or meta.mode == '' then
    local grace, mode = string.match(text, '(%d+) (%a+)$')
    meta.grace, meta.mode = tonumber(grace), mode
    call('HMSET', META, 'grace', grace, 'mode', mode)
  end
end

-- What a counter goes on at once some of its last numbers may be lost: above all of them, and above what it went on at after another
-- loss, whatever copies of the data these losses began with.
-- A counter begins at the server's time in microseconds, and rises by fewer than one a microsecond, so it stays behind the clock. Thus
-- the clock alone is above all that was lost, and a later loss finds a later time: also one from the same copy, from an older one, or
-- from none. To add anything to it would put the counter ahead of the clock, and a second loss from an older copy below it.
-- Only a clock that was set back is behind the counter. Then the numbers that may be lost are taken for fewer than a million, and
-- the time since the data were last alive, by the present clock, keeps two losses from one copy apart.
local function lift(top)
  if now_us > top then
    return now_us
  end
  return top + 1000000 + math.max(0, now_us - meta.last_tick * 1000)
end

-- The first write of another server process than the last one: the last writes of that one may be lost, so no number that
-- fences, none of a message and no version of the rows may come a second time. The numbers of messages go on where they are until the next
-- one is written (messages/publish.lua), so that those who have read everything miss nothing.
local function settle()
  if meta.run_id == run_id() then
    return
  end
  if meta.run_id ~= '' then
    meta.moved, meta.begun, meta.doubt = true, true, ''
    meta.token, meta.message_lift = lift(meta.token), lift(meta.message_seq)
    meta.version = meta.version + 1000000
    meta.floor = meta.version
    call('HMSET', META, 'token', int(meta.token), 'version', int(meta.version), 'floor', int(meta.floor), 'doubt', '',
      'message_lift', int(meta.message_lift))
  end
  meta.run_id = run_id()
  call('HSET', META, 'run_id', meta.run_id)
end

-- Whether a message's number was left out in this data set: whoever knows it has seen a message that is lost.
local function was_left_out(seq)
  if meta.lift_to == 0 or seq > meta.lift_from then
    return seq < meta.lift_to
  end
  local lifts = redis.pcall('HGET', META, 'lifts')
  for from, to in string.gmatch(type(lifts) == 'string' and lifts or '', '(%d+)-(%d+)') do
    if seq > tonumber(from) and seq < tonumber(to) then
      return true
    end
  end
  return false
end

local function open(known_token, known_event, known_message, fresh_epoch)
  load_meta()
  local token, event_seq, message_seq = tonumber(known_token), tonumber(known_event), tonumber(known_message)
  local lost = was_left_out(message_seq)
  local stale = meta.epoch == '' or token > meta.token or event_seq > meta.event_seq or message_seq > meta.message_seq or lost
  local had_data = meta.epoch ~= ''
  local tops = { token = math.max(token, meta.token), event_seq = math.max(event_seq, meta.event_seq),
    message_seq = math.max(message_seq, meta.message_seq) }
  settle()
  if not stale then
    return
  end
  for name, top in pairs(tops) do
    -- A counter that settle() lifted already is lifted to the same.
    meta[name] = math.max(meta[name], lift(top))
  end
  meta.epoch, meta.event_start, meta.message_start = fresh_epoch, meta.event_seq, meta.message_seq
  -- Records of this very process that lie in a copy which somebody put under it may be older than the newest. A data set that
  -- began on it just now is no such copy: whoever began it knew less.
  local old = now - meta.skew - meta.settled_at > math.max(meta.longest, meta.lease, 30000)
  meta.doubt = had_data and not meta.begun and old and '1' or meta.doubt
  meta.floor, meta.begun = meta.version, true
  call('HMSET', META, 'epoch', meta.epoch, 'token', int(meta.token), 'event_seq', int(meta.event_seq), 'message_seq',
    int(meta.message_seq), 'event_start', int(meta.event_start), 'message_start', int(meta.message_start), 'floor',
    int(meta.floor), 'last_tick', int(now), 'skew', int(meta.skew), 'doubt', meta.doubt,
    'lift_from', 0, 'lift_to', 0, 'lifts', '')
  if meta.doubt ~= '' and redis.pcall('HEXISTS', LEADER, 'run_id') == 1 then
    call('HSET', LEADER, 'run_id', '')
  end
  call('PUBLISH', PREFIX .. 'all', 'register')
end

local function cluster_now()
  return now - meta.skew
end

-- Half a member TTL, which a jump of the server's clock may be long without being noticed; as by default before the first member.
local function half_ttl()
  return math.floor((meta.ttl > 0 and meta.ttl or 30000) / 2)
end

local note_strangers

-- Stall guard: cluster time stands still over a silence of more than half a TTL, over backward jumps of the clock, and over
-- a change of the server process, whose data may lack the last beats.
-- Every transition that writes a lease or a vacancy calls it first: what is written before the guard would lie in the future after.
local function guard_stall()
  if meta.epoch == '' then
    return
  end
  settle()
  local silence = now - meta.last_tick
  if silence < 0 or meta.moved or silence > half_ttl() then
    meta.skew, meta.stalled_at = meta.skew + silence, now
    meta.moved = false
    call('HMSET', META, 'skew', int(meta.skew), 'stalled_at', int(now))
  end
  if meta.begun then
    meta.settled_at, meta.begun = cluster_now(), false
    call('HSET', META, 'settled_at', int(meta.settled_at))
    note_strangers()
  end
  call('HSET', META, 'last_tick', now)
end
