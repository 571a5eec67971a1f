import JSONText
import Sealing

/// The body of `PUT /credentials`: a ``CredentialSet`` under the boot's `seal` key, bound to the token of that one
/// request, its session and its principal, so that a recorded body opens in no other.
public enum SealedCredentials {
    /// Seals `set` for the request whose token is `id`.
    public static func seal(
        _ set: CredentialSet, with key: AEADKey, id: HostedToken.ID, session: String, principal: String
    ) throws(DoorError) -> [UInt8] {
        try set.validate()
        let document: JSONObject = [
            "env": .map(set.environment), "headers": .map(set.headers), "files": .map(set.files), "fingerprint": .string(set.fingerprint),
        ]
        let plaintext = JSONValue.object(document).serialized()
        guard plaintext.count + AEADKey.overhead <= CredentialSet.maximumSize else {
            throw .tooLarge(field: "credentials", limit: CredentialSet.maximumSize)
        }
        return try sealed(plaintext, with: key, label: "credentials", id: id, session: session, principal: principal)
    }

    /// Opens the body of a request whose verified token said `claims`.
    public static func open(_ body: [UInt8], with key: AEADKey, claims: HostedToken.Claims) throws(DoorError) -> CredentialSet {
        guard body.count <= CredentialSet.maximumSize else { throw .tooLarge(field: "credentials", limit: CredentialSet.maximumSize) }
        let plaintext = try opened(body, with: key, label: "credentials", claims: claims)
        let reader = try DocumentReader(plaintext, limit: CredentialSet.maximumSize)
        try reader.only(["env", "headers", "files", "fingerprint"])
        let set = CredentialSet(
            environment: try reader.map("env"), headers: try reader.map("headers"), files: try reader.map("files"),
            fingerprint: try reader.string("fingerprint", allowEmpty: true))
        try set.validate()
        return set
    }
}

/// The body of `PUT /keys`: the next generation of a boot's keys, sealed under the present one.
public enum SealedKeys {
    /// Seals `next` under the present generation's `seal` key for the request whose token is `id`.
    public static func seal(_ next: DoorKeys, with key: AEADKey, id: HostedToken.ID, principal: String) throws(DoorError) -> [UInt8] {
        let document: JSONObject = [
            "kid": .string(next.kid), "generation": .int(next.generation), "sign_key": .string(Base64URL.encode(next.sign.copy)),
            "seal_key": .string(Base64URL.encode(next.seal.copy)),
        ]
        return try sealed(JSONValue.object(document).serialized(), with: key, label: "keys", id: id, session: "", principal: principal)
    }

    /// Opens the body of a request whose verified token said `claims`; the keys are for the same `scope`.
    public static func open(
        _ body: [UInt8], with key: AEADKey, claims: HostedToken.Claims, scope: DoorKeys.Scope
    ) throws(DoorError) -> DoorKeys {
        guard body.count <= 4_096 else { throw .tooLarge(field: "keys", limit: 4_096) }
        guard claims.session.isEmpty else { throw .malformed(field: "session") }
        let reader = try DocumentReader(try opened(body, with: key, label: "keys", claims: claims), limit: 4_096)
        try reader.only(["kid", "generation", "sign_key", "seal_key"])
        return DoorKeys(
            scope: scope, kid: try reader.string("kid"), generation: try reader.int("generation", in: 1...Int(Int32.max)),
            sign: try reader.key("sign_key"), seal: try reader.key("seal_key"))
    }
}

private func binding(_ label: String, _ id: HostedToken.ID, _ session: String, _ principal: String) -> [UInt8] {
    keyInfo("berth/door/\(label)/v1", [id.description, session, principal])
}

private func sealed(
    _ plaintext: [UInt8], with key: AEADKey, label: String, id: HostedToken.ID, session: String, principal: String
) throws(DoorError) -> [UInt8] {
    do {
        return try key.seal(plaintext, aad: binding(label, id, session, principal))
    } catch {
        throw .sealing(error)
    }
}

private func opened(_ body: [UInt8], with key: AEADKey, label: String, claims: HostedToken.Claims) throws(DoorError) -> [UInt8] {
    do {
        return try key.open(body, aad: binding(label, claims.id, claims.session, claims.principal))
    } catch {
        throw .sealing(error)
    }
}
