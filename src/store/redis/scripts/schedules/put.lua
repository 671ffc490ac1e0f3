-- schedule_put: stores a schedule.
--
-- ARGV: node id, incarnation, id, version, version that it replaces or '' (there must be none), next slot (server time), how many schedules there may
--   be, bytes that their payloads may take, definition, payload
-- Returns: [status, outcome ('stored'|'changed'|'full')]
-- Atomic, because two callers must not both replace one version.
load_meta()
guard_stall()
local status = identify(ARGV.node_id, ARGV.incarnation, '')
if status ~= 'ok' then
  return { status, 'changed' }
end
local id = ARGV.id
local key, version = schedule_type(id)
if version == ARGV.version then
  return { status, 'stored' }
elseif (version or '') ~= ARGV.replaces then
  return { status, 'changed' }
end
local more = #ARGV.payload - call('HSTRLEN', key, 'payload')
local held = number(call('HGET', META, 'schedule_bytes'), 0)
local count = number(try('ZCARD', SCHEDULES), 0)
if not version and count >= tonumber(ARGV.most) or count > 0 and more > 0 and held + more > tonumber(ARGV.most_bytes) then
  return { status, 'full' }
end
local paused = call('HGET', key, 'paused') == '1'
call('HMSET', key, 'definition', ARGV.definition, 'payload', ARGV.payload, 'version', ARGV.version, 'next', paused and '0' or ARGV.next,
  'paused', paused and '1' or '0')
call('HSET', META, 'schedule_bytes', int(math.max(0, count == 0 and #ARGV.payload or held + more)))
enter_slot(id, ARGV.next, paused)
return { status, 'stored' }
