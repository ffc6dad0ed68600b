export default function Home({ pid }) {
	return <main>process {pid}</main>;
}

export function getServerSideProps() {
	return { props: { pid: process.pid } };
}
