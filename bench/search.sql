-- Invented clients for bench/search: psql -v clients=N -f bench/search.sql. Their names are distributed like real ones:
-- few are common. Everything else is random.
\set ON_ERROR_STOP on
SELECT setseed(0.5);
CREATE TEMPORARY TABLE syllable AS SELECT row_number() OVER () - 1 AS n, a || b AS text
    FROM unnest(string_to_array('b,d,f,g,h,j,k,l,m,n,p,r,s,t,v,w,br,kl,st,sch', ',')) a,
         unnest(string_to_array('an,el,in,on,ar,er,ik,os,a,e', ',')) b;
CREATE TEMPORARY TABLE name AS
    SELECT kind, n, (
        SELECT string_agg(s.text, '' ORDER BY i) FROM generate_series(1, kind + 1) i
        JOIN syllable s
            ON s.n = ('x' || substr(md5(kind || '-' || names.n || '-' || i), 1, 6))::bit(24)::int % 200
    ) AS text
    FROM (SELECT 1 AS kind, generate_series(0, 1999) AS n UNION ALL SELECT 2, generate_series(0, 19999)) names;
CREATE TEMPORARY TABLE made AS
    SELECT drawn.n, md5(drawn.n::text) AS key, f.text AS first_name, l.text AS last_name,
        chr(65 + (random() * 25)::int) || lpad((random() * 1e7)::int::text, 7, '0') AS id,
        '47' || lpad((random() * 1e8)::bigint::text, 8, '0') AS phone,
        chr(65 + (random() * 25)::int) || lpad((random() * 1e8)::bigint::text, 8, '0') AS document,
        date '1940-01-01' + (random() * 24000)::int AS birth_date
    FROM (
        SELECT n, (2000 * random() ^ 3)::int % 2000 AS f, (20000 * random() ^ 4)::int % 20000 AS l
        FROM generate_series(1, :clients) n
    ) drawn
    JOIN name f ON f.kind = 1 AND f.n = drawn.f JOIN name l ON l.kind = 2 AND l.n = drawn.l;
-- The whole index is built faster than row by row.
SELECT pg_get_indexdef('client_search_by_text'::regclass) AS by_text \gset
DROP INDEX client_search_by_text;
INSERT INTO client (encoded_key, client_id, state, first_name, last_name, birth_date, email_address, mobile_phone1,
        preferred_language, client_role_key, assigned_branch_key, created_at, updated_at, version)
    SELECT key, id || n, CASE n % 3 WHEN 0 THEN 'ACTIVE' ELSE 'INACTIVE' END, initcap(first_name), initcap(last_name),
        birth_date, first_name || '.' || last_name || n || '@example.test', '+' || phone, 'ENGLISH',
        (SELECT encoded_key FROM client_role LIMIT 1), 'branch' || n % 50, now() - n * interval '1 minute', now(), 1
    FROM made;
INSERT INTO client_id_claim SELECT client_id, encoded_key FROM client;
INSERT INTO id_document (client_key, encoded_key, position, document_type, document_id)
    SELECT key, key, 0, 'Passport', document FROM made;
INSERT INTO id_document_search SELECT key, key, 'passport', lower(document) FROM made;
INSERT INTO client_search (client_key, first_name, last_name, birth_date, email, mobile_phone1, words, text, form)
    SELECT key, first_name, last_name, birth_date, first_name || '.' || last_name || n || '@example.test', phone,
        first_name || ' ' || last_name, first_name || ' ' || last_name || ' ' || last_name || n || ' ' || lower(id) || n
        || ' ' || phone || ' ' || lower(document), 1
    FROM made;
:by_text;
UPDATE client_search_fill SET form = 1, filled_to = NULL;
VACUUM ANALYZE client, client_search, id_document, id_document_search, client_id_claim;
