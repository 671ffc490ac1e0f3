-- written: writes something, so that replicas can confirm it and with it all that was written before (store/redis/scripts.rs).
--
-- KEYS: meta, written; ARGV: how long the key is kept (ms).
-- The first write needs no memory, so a full Redis accepts the second (see make_way in keys_and_clock.lua).
redis.call('HDEL', KEYS[1], '')
redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
