import Foundation
import JSONText
import Testing

@Suite struct PropertyTests {
    /// Accepting and refusing, and every value read, are those of an independent reading of the grammar.
    @Test(arguments: 0..<40) func agreesWithReference(block: Int) {
        for offset in 0..<150 {
            var random = Seeded(UInt64(block * 1000 + offset + 1))
            let text = Array(Generator.value(&random, depth: 4).utf8)
            for bytes in [text, Generator.mutated(text, &random)] {
                let reference = Reference.parse(bytes)
                let value = try? JSONValue(parsing: bytes)
                if let value {
                    #expect(reference == value.reference, "seed \(block * 1000 + offset + 1): \(String(decoding: bytes, as: UTF8.self))")
                } else if let reference {
                    #expect(reference.hasDuplicateKeys, "seed \(block * 1000 + offset + 1) refused: \(String(decoding: bytes, as: UTF8.self))")
                }
            }
        }
    }

    /// What we accept Foundation accepts, and reads the same. (It reads more than JSON, so not the other way round.)
    @Test(arguments: 0..<20) func foundationReadsTheSame(block: Int) throws {
        for offset in 0..<100 {
            var random = Seeded(UInt64(block * 1000 + offset + 77_777))
            let text = Array(Generator.value(&random, depth: 4).utf8)
            for bytes in [text, Generator.mutated(text, &random)] {
                guard let value = try? JSONValue(parsing: bytes), value.hasOnlyModestNumbers else { continue }
                let other = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
                #expect(value.equals(other), "\(String(decoding: bytes, as: UTF8.self))")
            }
        }
    }

    /// An accepted message is one that a parser of whole values reads, and its spans hold what that parser found.
    @Test(arguments: 0..<40) func envelopesAreWhatParsersSee(block: Int) {
        for offset in 0..<150 {
            var random = Seeded(UInt64(block * 1000 + offset + 500_000))
            let text = Array(Generator.message(&random).utf8)
            for bytes in [text, Generator.mutated(text, &random)] {
                let reference = Reference.parse(bytes)
                do throws(ScanError) {
                    let envelope = try EnvelopeScanner.scan(bytes.span.bytes)
                    check(envelope, bytes, reference)
                } catch {
                    if error.isMalformed { #expect(reference == nil, "\(error): \(String(decoding: bytes, as: UTF8.self))") }
                }
            }
        }
    }

    private func check(_ envelope: Envelope, _ bytes: [UInt8], _ reference: Reference.Value?) {
        guard case .object(let members)? = reference else {
            Issue.record("accepted what is no object: \(String(decoding: bytes, as: UTF8.self))")
            return
        }
        func member(_ key: String) -> Reference.Value? { members.first { $0.key == key }?.value }
        func at(_ span: JSONSpan?) -> Reference.Value? { span.flatMap { Reference.parse(Array(bytes[$0.range])) } }
        #expect(members.count { $0.key == "method" } < 2 && members.count { $0.key == "id" } < 2)
        #expect(envelope.method.map(Reference.Value.string) == member("method"))
        #expect(at(envelope.result) == member("result"))
        if member("id") != .null { #expect(at(envelope.id) == member("id")) }
        guard case .object(let params)? = member("params") else { return }
        #expect(at(envelope.params) == member("params"))
        #expect(params.count { $0.key == "name" } < 2)
        if case .string(let name)? = params.first(where: { $0.key == "name" })?.value {
            #expect(envelope.name == name)
        } else {
            #expect(envelope.name == nil)
        }
        #expect(at(envelope.arguments) == params.first { $0.key == "arguments" }?.value)
    }

    /// Editing an object by splicing is the same as editing its value.
    @Test(arguments: 0..<20) func splicingEqualsEditing(block: Int) throws {
        for offset in 0..<60 {
            var random = Seeded(UInt64(block * 1000 + offset + 900_000))
            let text = Array(Generator.object(&random, depth: 2).utf8)
            guard case .object(let object)? = try? JSONValue(parsing: text) else { continue }
            let removed = Set(object.keys.filter { _ in Bool.random(using: &random) })
            let added: [(key: String, value: [UInt8])] =
                Bool.random(using: &random) ? [("new \"key\"", Array("[1]".utf8)), ("z9", Array("{}".utf8))] : []
            var splice = Splice()
            let whole = JSONSpan(start: 0, end: text.count)
            try splice.editObject(whole, in: text.span.bytes, removing: { removed.contains($0.keyString(in: text.span.bytes) ?? "") }, adding: added)
            let edited = splice.apply(to: text.span.bytes)
            var expected = added.map { ($0.key, (try? JSONValue(parsing: $0.value)) ?? .null) }
            expected += object.members.filter { !removed.contains($0.key) }.map { ($0.key, $0.value) }
            #expect(try JSONValue(parsing: edited) == .object(JSONObject(expected)), "\(String(decoding: text, as: UTF8.self))")
            #expect(edited.count == splice.outcomeCount(of: text.count))
        }
    }

    @Test(arguments: 0..<10) func serialisedValuesParseBack(block: Int) {
        for offset in 0..<100 {
            var random = Seeded(UInt64(block * 1000 + offset + 3))
            guard let value = try? JSONValue(parsing: Generator.value(&random, depth: 4)) else { continue }
            #expect((try? JSONValue(parsing: value.serialized())) == value)
        }
    }
}

extension JSONValue {
    var reference: Reference.Value {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let text): .number(text)
        case .string(let value): .string(value)
        case .array(let elements): .array(elements.map(\.reference))
        case .object(let object): .object(object.members.map { Reference.Pair(key: $0.key, value: $0.value.reference) })
        }
    }

    /// Numbers that a double and Foundation's range both hold.
    var hasOnlyModestNumbers: Bool {
        switch self {
        case .null, .bool, .string: true
        case .number(let text): Double(text).map { abs($0) < 1e300 && ($0 == 0 || abs($0) > 1e-300) } ?? false
        case .array(let elements): elements.allSatisfy(\.hasOnlyModestNumbers)
        case .object(let object): object.members.allSatisfy(\.value.hasOnlyModestNumbers)
        }
    }

    func equals(_ other: Any) -> Bool {
        switch self {
        case .null: return other is NSNull
        case .bool(let value): return (other as? NSNumber)?.boolValue == value
        case .number(let text):
            guard let number = other as? NSNumber, let value = Double(text) else { return false }
            return abs(number.doubleValue - value) <= abs(value) * 1e-12
        case .string(let value): return other as? String == value
        case .array(let elements):
            guard let array = other as? [Any], array.count == elements.count else { return false }
            return zip(elements, array).allSatisfy { $0.equals($1) }
        case .object(let object):
            guard let dictionary = other as? [String: Any], dictionary.count == object.count else { return false }
            return object.members.allSatisfy { member in dictionary[member.key].map { member.value.equals($0) } ?? false }
        }
    }
}

extension Reference.Value {
    var hasDuplicateKeys: Bool {
        switch self {
        case .array(let elements): elements.contains(where: \.hasDuplicateKeys)
        case .object(let pairs): Set(pairs.map(\.key)).count < pairs.count || pairs.contains(where: \.value.hasDuplicateKeys)
        default: false
        }
    }
}
