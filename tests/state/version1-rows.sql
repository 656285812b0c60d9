insert into schema_version (version) values (1);
insert into pins (overlay, router, public_key, staged_key, epoch, addresses, left_at) values
  ('acme', 'mumbai', 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=', null, 3, '["10.100.0.5"]', null);
insert into identities (overlay, name, kind, value, pinned_at) values
  ('acme', 'mumbai', 'ssh', 'ssh-ed25519 AAAA', 1764000000.5);
insert into tombstones (overlay, public_key, router, at) values
  ('acme', 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=', 'mumbai', 1764000000.5);
insert into confirmed (overlay, router, fingerprint, configuration, version, at) values
  ('acme', 'mumbai', 'f', '{"interface wg0": "1"}', '7.18', 1764000000.5);
insert into runs (id, overlay, command, actor, inventory_commit, plan_fingerprint, started_at, finished_at, outcome, exit_code)
values ('20251124-160000-abcd', 'acme', 'sync', 'asha@noc', 'a1b2c3d', '', 1764000000.5, 1764000060.5, 'done', 0);
insert into journal (run, router, phase, text, detail, at) values
  ('20251124-160000-abcd', 'mumbai', 'apply', 'peer hq: add', '{"interrupts": "nothing"}', 1764000001.5);
