import JSONText
import Sealing

/// Typed reads of a parsed document; each failure names the member and nothing of its value.
struct DocumentReader {
    let object: JSONObject

    /// Parses `bytes` as one object. `limit` bounds them.
    init(_ bytes: [UInt8], limit: Int) throws(DoorError) {
        guard bytes.count <= limit else { throw .tooLarge(field: "document", limit: limit) }
        guard let value = try? JSONValue(parsing: bytes, limits: ScanLimits(maximumBytes: limit, maximumDepth: 8)), let object = value.objectValue
        else { throw .malformed(field: "document") }
        self.object = object
    }

    init(_ object: JSONObject) {
        self.object = object
    }

    /// Refuses members that nobody knows: a document of a newer version is not half understood.
    func only(_ names: Set<String>) throws(DoorError) {
        for key in object.keys where !names.contains(key) { throw .malformed(field: "unknown member") }
    }

    func string(_ name: String, allowEmpty: Bool = false) throws(DoorError) -> String {
        guard let text = object[name]?.stringValue, allowEmpty || !text.isEmpty else { throw .malformed(field: name) }
        return text
    }

    func int(_ name: String, in range: ClosedRange<Int>) throws(DoorError) -> Int {
        guard let value = object[name]?.intValue, range.contains(value) else { throw .malformed(field: name) }
        return value
    }

    func key(_ name: String) throws(DoorError) -> Secret {
        guard let text = object[name]?.stringValue, let bytes = Base64URL.decode(text), bytes.count == 32 else { throw .malformed(field: name) }
        return Secret(bytes)
    }

    func choice<Value: RawRepresentable>(_ name: String, _: Value.Type) throws(DoorError) -> Value where Value.RawValue == String {
        guard let text = object[name]?.stringValue, let value = Value(rawValue: text) else { throw .malformed(field: name) }
        return value
    }

    func strings(_ name: String) throws(DoorError) -> [String] {
        guard let values = object[name]?.arrayValue else { throw .malformed(field: name) }
        let texts = values.compactMap(\.stringValue)
        guard texts.count == values.count else { throw .malformed(field: name) }
        return texts
    }

    func map(_ name: String) throws(DoorError) -> [String: String] {
        guard let members = object[name]?.objectValue?.members else { throw .malformed(field: name) }
        var map: [String: String] = [:]
        for (key, value) in members {
            guard let text = value.stringValue else { throw .malformed(field: name) }
            map[key] = text
        }
        return map
    }

    func nested(_ name: String) throws(DoorError) -> DocumentReader {
        guard let object = object[name]?.objectValue else { throw .malformed(field: name) }
        return DocumentReader(object)
    }
}

extension JSONValue {
    /// An object with its names in order, so that equal maps give equal bytes.
    static func map(_ values: [String: String]) -> JSONValue {
        .object(JSONObject(values.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }

    static func texts(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
}
