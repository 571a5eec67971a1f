import JSONText
import Sealing

/// The canonical line of a row: one JSON object, members in one order, empty ones left out, `hash` last. The hash is that
/// of the same object without its `hash` member.
struct AuditLineFormat {
    private let digest: SHA256

    init() throws(SealingError) { digest = try SHA256() }

    /// Appends the row's line with its newline; returns the row's hash.
    func append(_ row: AuditRow, payload: AuditPayloadReference?, to output: inout [UInt8]) throws(SealingError) -> String {
        let start = output.count
        appendLiteral("{\"sequence\":", to: &output)
        JSONNumber.append(row.sequence, to: &output)
        text(",\"chain\":", row.chain, &output)
        appendLiteral(",\"time\":", to: &output)
        JSONNumber.append(row.time, to: &output)
        text(",\"principal\":", row.principal, &output)
        text(",\"client_address\":", row.clientAddress, &output)
        text(",\"token\":", row.tokenID, &output)
        text(",\"vmcp\":", row.virtualMCP, &output)
        text(",\"connector\":", row.connector, &output)
        text(",\"tool\":", row.tool, &output)
        text(",\"exposed_tool\":", row.exposedTool, &output)
        text(",\"method\":", row.method, &output)
        text(",\"session\":", row.session, &output)
        text(",\"machine\":", row.machine, &output)
        text(",\"boot\":", row.boot, &output)
        text(",\"call\":", row.callID, &output)
        text(",\"outcome\":", row.outcome.rawValue, &output)
        text(",\"reason\":", row.reason, &output)
        appendLiteral(",\"latency_us\":", to: &output)
        JSONNumber.append(row.latencyMicroseconds, to: &output)
        if let payload {
            appendLiteral(",\"payload\":{\"at\":", to: &output)
            JSONNumber.append(Int64(payload.offset), to: &output)
            appendLiteral(",\"size\":", to: &output)
            JSONNumber.append(Int64(payload.size), to: &output)
            text(",\"sha256\":", payload.hash, &output)
            output.append(UInt8(ascii: "}"))
        }
        text(",\"prev\":", row.previousHash, &output)
        output.append(UInt8(ascii: "}"))
        let hash = try self.hash(output[start...])
        output.removeLast()
        appendLiteral(",\"hash\":\"", to: &output)
        output.append(contentsOf: hash.utf8)
        appendLiteral("\"}\n", to: &output)
        return hash
    }

    /// Appends the line of the row's payload with its newline, or nothing; returns where it will lie.
    func appendPayload(of row: AuditRow, segmentOffset: Int, to output: inout [UInt8]) throws(SealingError) -> AuditPayloadReference? {
        guard row.arguments != nil || row.result != nil else { return nil }
        let start = output.count
        appendLiteral("{\"sequence\":", to: &output)
        JSONNumber.append(row.sequence, to: &output)
        for (name, value) in [("arguments", row.arguments), ("result", row.result)] {
            guard let value else { continue }
            text(name, value.text, &output, evenEmpty: true)
            if value.truncated { output.append(contentsOf: ",\"\(name)_truncated\":true".utf8) }
        }
        output.append(UInt8(ascii: "}"))
        let reference = AuditPayloadReference(
            offset: segmentOffset + start, size: output.count - start, hash: try hash(output[start...]))
        output.append(UInt8(ascii: "\n"))
        return reference
    }

    /// A row's line (without its newline) when its form and its hash hold.
    func read(_ line: ArraySlice<UInt8>) -> (row: AuditRow, payload: AuditPayloadReference?)? {
        let ending = 64 + ",\"hash\":\"\"}".utf8.count
        guard line.count > ending, let value = try? JSONValue(parsing: Array(line)), let hash = value["hash"]?.stringValue else { return nil }
        guard let computed = try? self.hash(Array(line.dropLast(ending)) + [UInt8(ascii: "}")]), computed == hash else { return nil }
        guard let sequence = value["sequence"]?.intValue, let time = value["time"]?.intValue, let previous = value["prev"]?.stringValue,
            let outcome = value["outcome"]?.stringValue.flatMap(AuditOutcome.init(rawValue:)), let latency = value["latency_us"]?.intValue
        else { return nil }
        func text(_ name: String) -> String { value[name]?.stringValue ?? "" }
        var row = AuditRow(method: text("method"), outcome: outcome, principal: text("principal"), time: Int64(time))
        row.sequence = Int64(sequence)
        row.chain = text("chain")
        row.clientAddress = text("client_address")
        row.tokenID = text("token")
        row.virtualMCP = text("vmcp")
        row.connector = text("connector")
        row.tool = text("tool")
        row.exposedTool = text("exposed_tool")
        row.session = text("session")
        row.machine = text("machine")
        row.boot = text("boot")
        row.callID = text("call")
        row.reason = text("reason")
        row.latencyMicroseconds = Int64(latency)
        row.previousHash = previous
        row.hash = hash
        guard let payload = value["payload"] else { return (row, nil) }
        guard let offset = payload["at"]?.intValue, let size = payload["size"]?.intValue, let digest = payload["sha256"]?.stringValue,
            offset >= 0, size > 0
        else { return nil }
        return (row, AuditPayloadReference(offset: offset, size: size, hash: digest))
    }

    /// Puts a payload line back into its row; false when it is not the one that the row names.
    func restore(_ line: [UInt8], _ reference: AuditPayloadReference, into row: inout AuditRow) -> Bool {
        guard let digest = try? hash(line[...]), digest == reference.hash, let value = try? JSONValue(parsing: line) else { return false }
        func text(_ name: String) -> AuditText? {
            value[name]?.stringValue.map { AuditText(text: $0, truncated: value["\(name)_truncated"]?.boolValue ?? false) }
        }
        row.arguments = text("arguments")
        row.result = text("result")
        return true
    }

    private func hash(_ bytes: ArraySlice<UInt8>) throws(SealingError) -> String {
        var failure: SealingError?
        bytes.withUnsafeBytes { buffer in
            do throws(SealingError) { try digest.update(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        return Hex.encode(try digest.finish())
    }

    private func hash(_ bytes: [UInt8]) throws(SealingError) -> String { try hash(bytes[...]) }

    /// Appends `label` (with its comma and colon) and the value, unless that is empty.
    private func text(_ label: StaticString, _ value: String, _ output: inout [UInt8]) {
        guard !value.isEmpty else { return }
        appendLiteral(label, to: &output)
        JSONString.append(value, to: &output)
    }

    private func text(_ name: String, _ value: String, _ output: inout [UInt8], evenEmpty: Bool) {
        output.append(contentsOf: ",\"\(name)\":".utf8)
        JSONString.append(value, to: &output)
    }
}

/// Appends a literal.
func appendLiteral(_ literal: StaticString, to output: inout [UInt8]) {
    output.append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
}
