extension BuildScripts {
    /// `pull.py`: fetches the image that `/in/pull.json` names, as an OCI image layout at `/out/layout`.
    ///
    /// Anonymous or by the user and password that it is given, with a token where the registry asks for one. Every blob is held against its digest and size, here and on the
    /// host again. A host beside the registry (its token service, where it keeps blobs) that is not allowed yet ends the script
    /// with `berth-needs HOST:PORT`, a refusal with `berth-refused WORD TEXT`.
    static let pull = #"""
        import base64, hashlib, json, os, re, ssl, sys, urllib.error, urllib.parse, urllib.request

        plan = json.load(open("/in/pull.json"))
        base, name, allowed, limit = plan["base"], plan["name"], set(plan["allowed"]), plan["bytes"]
        blobs, token, total = "/out/layout/blobs/sha256/", None, 0
        login = plan.get("login")
        basic = "Basic " + base64.b64encode(("%s:%s" % (login["user"], login["password"])).encode()).decode() if login else None
        INDICES = ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"]
        MANIFESTS = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"]

        def end(word, text):
            print("berth-refused", word, "".join(c if c.isprintable() else "?" for c in text)[:300], flush=True)
            sys.exit(24)

        def check(url):
            """The registry's own scheme or better, and a host that is allowed."""
            parts = urllib.parse.urlsplit(url)
            try:
                place = "%s:%d" % (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
            except ValueError:
                end("bad_image", "the registry names an address that is none")
            if not parts.hostname or parts.username or not re.fullmatch(r"[a-z0-9.-]{1,253}", parts.hostname):
                end("bad_image", "the registry names an address that is none")
            if parts.scheme != "https" and not (parts.scheme == "http" and base.startswith("http:")):
                end("bad_image", "the registry leads to an address without TLS")
            if place not in allowed:
                print("berth-needs", place, flush=True)
                sys.exit(25)
            return parts

        class NoRedirect(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None

        opener = urllib.request.build_opener(NoRedirect)

        def request(url, accept):
            """An open answer; redirects are followed by hand, without the token at another place."""
            global token
            home, asked = urllib.parse.urlsplit(base).netloc, False
            for _ in range(6):
                parts = check(url)
                fields = {"Accept": ", ".join(accept), "User-Agent": "berth"}
                if token and parts.netloc == home:
                    fields["Authorization"] = token
                try:
                    return opener.open(urllib.request.Request(url, headers=fields), timeout=60)
                except urllib.error.HTTPError as error:
                    if error.code in (301, 302, 303, 307, 308) and error.headers.get("Location"):
                        url = urllib.parse.urljoin(url, error.headers["Location"])
                        continue
                    if error.code == 401 and not asked and parts.netloc == home:
                        asked, token = True, ask(error.headers.get("WWW-Authenticate", ""))
                        continue
                    if error.code in (401, 403):
                        end("denied", "the registry does not give it to " + ("this user" if login else "everybody"))
                    if error.code == 404:
                        end("unknown_image", "the registry does not have it")
                    if error.code == 429:
                        end("network", "the registry answers no more requests for now")
                    if error.code in (502, 504):
                        end("network", "the registry could not be reached (HTTP %d)" % error.code)
                    end("network", "the registry answered HTTP %d" % error.code)
            end("bad_image", "the registry redirects in a circle")

        def ask(challenge):
            """What goes before the next request: the login itself, or a token that the registry's own service gives for it."""
            if basic and challenge.lower().startswith("basic"):
                return basic
            if not challenge.lower().startswith("bearer "):
                end("denied", "the registry wants a user and a password")
            fields = dict(re.findall(r'([a-z_]+)="([^"]*)"', challenge))
            query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields} or {"scope": "repository:%s:pull" % name})
            url = fields.get("realm", "") + "?" + query
            check(url)
            try:
                headers = {"User-Agent": "berth", **({"Authorization": basic} if basic else {})}
                with opener.open(urllib.request.Request(url, headers=headers), timeout=60) as answer:
                    document = json.loads(answer.read(1 << 20))
                found = document.get("token") or document.get("access_token")
                if not isinstance(found, str) or not re.fullmatch(r"[\x21-\x7e]{1,65536}", found):
                    raise ValueError
                return "Bearer " + found
            except (urllib.error.HTTPError, ValueError, AttributeError):
                end("denied", "the registry's token service gives " + ("this user" if login else "nobody") + (" none" if login else " a token"))

        def save(digest, data):
            with open(blobs + digest[7:], "wb") as file:
                file.write(data)

        def document(reference, accept, digest=None):
            with request("%s/v2/%s/manifests/%s" % (base, name, reference), accept) as answer:
                data, kind = answer.read((4 << 20) + 1), (answer.headers.get("Content-Type") or "").split(";")[0].strip()
            found = "sha256:" + hashlib.sha256(data).hexdigest()
            if len(data) > 4 << 20:
                end("bad_image", "a document of it is larger than 4 MiB")
            if digest and found != digest:
                end("bad_image", "the registry handed out something else than " + digest)
            save(found, data)
            try:
                parsed = json.loads(data)
                kind = parsed.get("mediaType") or kind
                if kind not in INDICES + MANIFESTS:
                    end("bad_image", "it is no image but %s" % kind)
                return {"mediaType": kind, "digest": found, "size": len(data)}, parsed
            except (ValueError, AttributeError, RecursionError):
                end("bad_image", "a document of it is malformed")

        def digest_of(descriptor):
            if not isinstance(descriptor, dict) or not re.fullmatch("sha256:[0-9a-f]{64}", str(descriptor.get("digest"))) or not isinstance(
                    descriptor.get("size"), int) or descriptor["size"] < 0:
                end("bad_image", "a descriptor of it is malformed")
            return descriptor["digest"]

        def blob(descriptor):
            global total
            digest, left = digest_of(descriptor), descriptor["size"]
            if os.path.exists(blobs + digest[7:]):
                return
            total += left
            if total > limit:
                end("image_too_large", "its layers alone are larger than the bound")
            seen = hashlib.sha256()
            with request("%s/v2/%s/blobs/%s" % (base, name, digest), ["*/*"]) as answer, open(blobs + digest[7:], "wb") as file:
                while True:
                    data = answer.read(min(256 << 10, left + 1))
                    if not data:
                        break
                    left -= len(data)
                    seen.update(data)
                    if left < 0:
                        break
                    file.write(data)
            if left or "sha256:" + seen.hexdigest() != digest:
                end("bad_image", "the blob %s is not what its digest says" % digest[7:19])

        os.makedirs(blobs)
        try:
            top, found = document(plan["reference"], INDICES + MANIFESTS, plan.get("digest"))
            depth = 0
            while "manifests" in found and depth < 3:
                fitting = [entry for entry in found["manifests"] if isinstance(entry, dict) and isinstance(entry.get("platform"), dict)
                           and entry["platform"].get("os") == "linux" and entry["platform"].get("architecture") == plan["architecture"]]
                if not fitting:
                    break
                depth += 1
                chosen = digest_of(fitting[0])
                _, found = document(chosen, INDICES + MANIFESTS, chosen)
            if "layers" in found and "config" in found:
                layers = found["layers"][:129]
                for number, descriptor in enumerate([found["config"], *layers]):
                    if number:
                        print("berth: Fetching layer", number, "of", len(layers), flush=True)
                    blob(descriptor)
        except (OSError, ssl.SSLError) as error:
            print("urlopen error", error)
            end("network", "the registry could not be reached")
        except (TypeError, KeyError, AttributeError):
            end("bad_image", "a document of it is malformed")
        with open("/out/layout/oci-layout", "w") as file:
            json.dump({"imageLayoutVersion": "1.0.0"}, file)
        with open("/out/layout/index.json", "w") as file:
            json.dump({"schemaVersion": 2, "manifests": [top]}, file)
        """#
}
