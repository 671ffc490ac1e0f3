-- sweep: the leader finds members whose connections are gone, and declares those dead that were gone for the grace.
--
-- ARGV: 1 node id, 2 incarnation, 3 term, then pairs: node id, presence nonce that was gone for the grace
-- Returns: [status, now, leads (1|0), [id, nonce, ...] of those that are gone now]
-- Atomic, because a member that registered again since must not be declared dead.
local id, incarnation, term = ARGV[1], ARGV[2], ARGV[3]
make_way()
load_meta()
local status = identify(id, incarnation, '')
local leader = read_leader()
if status ~= 'ok' or not leader or leader.holder ~= id or leader.incarnation ~= incarnation or leader.term ~= term then
  return { status, int(now), 0, {} }
end
local server = run_id()
-- After a stall of the server all connections may be gone for a moment: then only deadlines count.
local stalled = meta.stalled_at > 0 and now - meta.stalled_at < meta.ttl
for at = 4, #ARGV, 2 do
  local registered = call('HGET', PRESENCE, ARGV[at])
  if not stalled and registered == ARGV[at + 1] .. ' ' .. server and subscribers(presence_channel(ARGV[at + 1])) == 0 then
    local row = read_row(ARGV[at])
    if row and is_live(row) and ARGV[at] ~= id then
      end_life(ARGV[at], row, 'offline', 'process_died')
    end
  end
end
local gone = {}
local all = call('HGETALL', PRESENCE)
local chunk = 1000
for start = 1, #all, 2 * chunk do
  local ids, nonces, channels = {}, {}, {}
  for at = start, math.min(start + 2 * chunk - 1, #all), 2 do
    local nonce, where = string.match(all[at + 1], '^(%S+) (%S+)$')
    if where == server and all[at] ~= id then
      ids[#ids + 1], nonces[#nonces + 1], channels[#channels + 1] = all[at], nonce, presence_channel(nonce)
    end
  end
  if #channels > 0 then
    local counts = call('PUBSUB', 'NUMSUB', unpack(channels))
    for at = 1, #ids do
      if counts[2 * at] == 0 then
        gone[#gone + 1] = ids[at]
        gone[#gone + 1] = nonces[at]
      end
    end
  end
end
return { status, int(now), 1, gone }
